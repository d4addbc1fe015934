"""What has changed since a run was begun so that its steps may give other bits."""

from trainer.records.about import not_bit_exact

GPU = {"device": "cuda", "gpu": "NVIDIA A100", "cuda": "12.8", "cudnn": "91002"}


def test_another_gpu_and_other_libraries_of_it_are_told() -> None:
    assert not_bit_exact(GPU, {**GPU, "gpu": "NVIDIA H100", "cudnn": "91400"}) == [
        "the GPU was NVIDIA A100, and is NVIDIA H100",
        "the version of cuDNN was 91002, and is 91400",
    ]
    assert not_bit_exact(GPU, dict(GPU)) == []


def test_what_one_of_two_records_does_not_hold_has_not_changed() -> None:
    assert not_bit_exact({"device": "cuda"}, GPU) == [], "an earlier release told no GPU"
    assert not_bit_exact(GPU, {"device": "cpu"}) == ["the device was cuda, and is cpu"]
