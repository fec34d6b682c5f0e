"""What a shell offers for names that commands take. Nothing heavy is imported to offer them."""


def task_names(incomplete: str) -> list[str]:
    """The stored names of the tasks: for an argument that takes one."""
    from synthanom.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def listed_task_names(incomplete: str) -> list[str]:
    """The same for an option that takes several with commas between: each that is not there yet."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in task_names(last) if name not in given]
