"""The list of a model's files covers the shipped model."""

from mova.files.inside import is_plain_name
from mova.names import SHIPPED_MODELS
from mova.weights.download import needed_files
from mova.weights.known_files import COMPONENT_FILES, FOLDER_FILES, MODEL_FILES


def test_every_file_of_the_shipped_model_is_known():
    """But for the recipes that it was trained with: a copy of the model is complete without them."""
    folder = SHIPPED_MODELS / "mova-tiny"
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    names = [path.as_posix() for path in files if path.parts[0] != "history"]
    assert set(needed_files(names)) == set(names)


def test_names_are_plain():
    names = {
        *MODEL_FILES,
        *FOLDER_FILES,
        *COMPONENT_FILES,
        *(name for names in FOLDER_FILES.values() for name in names),
    }
    assert all(map(is_plain_name, names))
