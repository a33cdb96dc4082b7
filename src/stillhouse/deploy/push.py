"""A student's folder to the Hugging Face hub, through huggingface_hub."""

from pathlib import Path
from typing import Any

from stillhouse.deploy.config import CONFIG, StudentConfig
from stillhouse.errors import MissingExtra, RunError, SystemFault
from stillhouse.faults import first_line

LOGIN = "log in with 'hf auth login', or set HF_TOKEN"


def push_folder(
    folder: Path, repo_id: str, *, private: bool = False, update: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Upload the files that config.json knows, and no others, in one commit.

    The hub is the one of ``HF_ENDPOINT``; the token is the one that huggingface_hub finds.

    Args:
        folder: of a student; its checksums are compared first.
        repo_id: NAME/REPOSITORY.
        private: whether a new repository is for its owner alone.
        update: whether it may be there already: the commit is added to its history.

    Returns:
        where the repository is, and the names of the files.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        RunError: no or a refused token, no such name, or the repository is there already.
        SystemFault: the hub cannot be reached, or the connection was lost.
    """
    config = StudentConfig.read(folder)
    names = (*sorted(config.sha256), CONFIG)
    try:
        import huggingface_hub as hub
    except ModuleNotFoundError as absent:
        if absent.name != "huggingface_hub":
            raise
        raise MissingExtra("the hub", "huggingface_hub", "hub") from absent
    if hub.get_token() is None:
        raise RunError(f"there is no token for the hub; {LOGIN}")
    api: Any = hub.HfApi()
    try:
        url = str(api.create_repo(repo_id, private=private, exist_ok=update))
    except Exception as error:  # of many kinds: of the hub, of its client, of the network
        raise _told(error, f"the repository {repo_id} was not made") from error
    try:
        api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(names),
            commit_message=f"Add {config.network.model}",
        )
    except Exception as error:
        again = f"{repo_id} is there, and the files are not; push again with update (--update)"
        raise _told(error, again) from error
    return url, names


def _told(error: Exception, state: str) -> Exception:
    """A failure as a sentence: who has to do what, and what became of the repository."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in (401, 403):
        return RunError(
            f"the hub refused the token ({status}): it may be wrong, outdated, or not allowed to "
            f"write there; {LOGIN}; {state}"
        )
    if status == 409:
        return RunError(
            f"{state}: it is there already; give another name, or add a commit to it "
            "(update=True, --update)"
        )
    if isinstance(error, ValueError) and status is None:
        return RunError(f"{first_line(error)}; {state}")
    if status is not None and status < 500:
        return RunError(f"the hub refused it ({status}): {first_line(error)}; {state}")
    reached = "the hub failed" if status else "the connection to the hub failed"
    return SystemFault(f"{reached} ({first_line(error)}); {state}")
