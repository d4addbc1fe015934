"""Several labels a picture: how answers are judged, told, written and compared."""
