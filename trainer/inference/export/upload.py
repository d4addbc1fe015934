"""A folder on the Hugging Face hub: where it will lie and who may see it is known before, and it goes in one commit."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.errors import ConfigError, OutputError, first_line
from trainer.model.hub import check_name, package


@dataclass(frozen=True)
class Destination:
    """A repository of the hub, as it was found before the work."""

    api: Any
    """huggingface_hub's HfApi, with the user's own login."""
    name: str
    """OWNER/NAME."""
    user: str
    is_new: bool
    public: bool

    def sentence(self, folder: Path) -> str:
        """What is about to happen, for the user to stop it."""
        what = "a new repository" if self.is_new else "a new commit in the repository that is there"
        who = "public: everybody may see it" if self.public else "private"
        return f"hub: {folder} will go to {self.api.endpoint}/{self.name} as {self.user}: {what}, {who}."


def destination(name: str, *, public: bool) -> Destination:
    """The repository of that name, there or not yet.

    Raises ConfigError if it may not be one, or is there and private where public is asked for, or the other way round;
    OutputError if nobody is logged in, or the hub cannot be asked.
    """
    said = f"hub={name}"
    check_name(name, said, "hub=OWNER/NAME")
    hub = package(said)
    api, errors = hub.HfApi(), hub.errors
    try:
        user = str(api.whoami()["name"])
        try:
            was_private = api.repo_info(name).private
        except errors.RepositoryNotFoundError:
            return Destination(api, name, user, True, public)
    except errors.LocalTokenNotFoundError as error:
        raise OutputError(f"{said}: nobody is logged in to the hub here. First: hf auth login") from error
    except Exception as error:  # its own, or its HTTP client's
        raise OutputError(f"{said}: {_reason(error)}. Nothing is written.") from error
    if bool(was_private) == public:
        is_, word = ("private", "leave public=true out") if was_private else ("public", "say public=true")
        raise ConfigError(f"{said}: that repository is there, and is {is_}. For it {word}, or choose another name.")
    return Destination(api, name, user, False, public)


def upload(folder: Path, to: Destination) -> str:
    """Sends the files of the folder in one commit; its address. Raises OutputError, and the folder stays."""
    hub = package(f"hub={to.name}")
    files = [hub.CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir()) if path.is_file()]
    try:
        to.api.create_repo(to.name, private=not to.public, exist_ok=True)
        return str(to.api.create_commit(to.name, files, commit_message=f"Export {folder.name}").commit_url)
    except Exception as error:  # its own, or its HTTP client's
        raise OutputError(
            f"hub={to.name}: {_reason(error)}. {folder} is whole: once that is mended, say the command again."
        ) from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is None:
        return f"the hub cannot be reached ({first_line(error)})"
    if status == 401:
        return "the hub does not know the token of this login, or no longer. First: hf auth login --force"
    if status == 403:
        return "this login may not write there. Its name and its organisations: hf auth whoami"
    return f"the hub refuses ({first_line(error)})"
