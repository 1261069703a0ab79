import pytest
from pydantic import Field, ValidationError

import cytonym
from cytonym.errors import OptionError
from cytonym.methods import get
from cytonym.options import Options, as_dict, as_seeds, parse


class Some(Options):
    dim: int = Field(8, ge=1)
    share: float | None = 0.5
    sizes: tuple[int, ...] = (1, 2)
    name: str = "a"
    on: bool = True


PRESETS = {"small": {"dim": 2, "sizes": (1,)}}


def test_words_become_numbers_flags_tuples_and_none():
    words = ["dim=3", "share=none", "sizes=1,2,4", " name = b=c ", "on=false"]
    assert parse(Some, words, presets={}) == Some(
        dim=3, share=None, sizes=(1, 2, 4), name="b=c", on=False
    )
    assert as_dict(None) == {}
    with pytest.raises(OptionError, match="'dim' is no setting; write key=value"):
        as_dict(["dim"])


def test_a_tuple_of_one_can_be_given_as_a_word():
    assert parse(Some, ["sizes=4"], presets={}).sizes == (4,)


def test_a_preset_comes_first_and_other_settings_over_it():
    assert parse(Some, {"preset": "small", "dim": 5}, presets=PRESETS) == Some(dim=5, sizes=(1,))
    with pytest.raises(OptionError, match=r"No preset 'smal'\. Did you mean 'small'"):
        parse(Some, ["preset=smal"], presets=PRESETS)


def test_all_three_errors_are_said_at_once_with_the_nearest_known_option():
    with pytest.raises(OptionError) as failed:
        parse(Some, {"dimm": 3, "share": "much", "dim": 0}, presets={})
    said = str(failed.value)
    assert "No option 'dimm'. Did you mean 'dim'?" in said
    assert "Option 'share' cannot be 'much'" in said
    assert "Option 'dim' cannot be 0: Input should be greater than or equal to 1." in said


def test_options_are_frozen_and_changes_are_checked():
    options = Some()
    with pytest.raises(ValidationError):
        options.dim = 3
    assert options.but(dim=3).dim == 3
    assert options.dim == 8
    with pytest.raises(ValidationError):
        options.but(dim=0)


def test_an_unknown_method_names_the_nearest_one():
    with pytest.raises(OptionError, match=r"No method 'sctran'\. Did you mean 'sctrans'"):
        get("sctran")


@pytest.mark.parametrize("name", sorted(cytonym.methods()))
def test_defaults_and_presets_of_every_method_are_valid_and_survive_json(name):
    method = get(name)
    for preset in (None, *method.presets):
        options = parse(method.Options, {"preset": preset}, presets=method.presets)
        assert method.Options.model_validate_json(options.model_dump_json()) == options
        assert all(field.description for field in type(options).model_fields.values())
        assert len(method.candidates(options)) >= 1


def test_widths_that_do_not_divide_name_a_width_that_does():
    with pytest.raises(OptionError, match=r"dim 10 must be a multiple .* = 4; 8 is near"):
        parse(get("sctrans").Options, {"dim": 10}, presets={})


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("0,2,7", [0, 2, 7]), ("1-2,2-3", [1, 2, 3])],
)
def test_seeds_are_numbers_and_ranges_each_once(text, seeds):
    assert as_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-0", "-1", "0-", "1,,2", "0-2-5", "1.5", "1_0"])
def test_what_names_no_seeds_is_told_with_how_to_write_them(text):
    with pytest.raises(OptionError, match=r"names no seeds\n.*0-4"):
        as_seeds(text)


def test_more_than_1000_seeds_are_refused_before_any_is_made():
    with pytest.raises(OptionError, match="names 100,000,000,001 seeds"):
        as_seeds("0-100000000000")
