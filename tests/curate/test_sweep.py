"""Files of clips that no row names are removed, and only these."""

from mova.curate.folder import OutputFolder
from mova.curate.runner import run_all
from mova.curate.sweep import sweep
from mova.curate.tables import iter_clips
from shared_curation import toy_run, write_sources


def test_only_what_no_row_names_is_removed(tmp_path):
    footage = write_sources(tmp_path / "in", 3)
    folder = OutputFolder(tmp_path / "out")
    # A sample leaves the clips of an earlier, larger one alone.
    whole = list(iter_clips(run_all(toy_run(footage, folder.root))))
    run_all(toy_run(footage, folder.root), limit=1)
    stranger = folder.media / "00" / "stranger.mp4"
    stranger.parent.mkdir(exist_ok=True)
    stranger.write_text("x")
    folder.sweep.touch()
    sweep(folder, "cut")
    assert not stranger.exists()
    assert not folder.sweep.exists()
    assert all((folder.root / clip.path).is_file() for clip in whole if clip.path)
