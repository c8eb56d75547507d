"""`--mode=report`: a finished run's page, `report.html`, written again."""

from tf_logreg.report import report
from tf_logreg.results import workdir as directory

NAME = report.NAME


def write_report(workdir: str) -> str:
    """Writes `report.html` of a finished run into its directory; `tf_logreg.write_report`.

    The page is one file that needs neither a network nor scripts.

    Args:
        workdir: of a finished run.

    Returns:
        The file's path.

    Raises:
        InputError: no finished run of ours, a damaged file, or the directory cannot be written.
    """
    folder = directory.of(workdir)
    with directory.finished_run(folder, directory.read_result(folder)) as mine:
        report.write(mine)
    return folder.where(NAME)
