"""The command `build-dataset`; each data set is a subcommand. Everything heavy is imported when a command runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from synthanom import exits
from synthanom.completion import listed_task_names
from synthanom.errors import SynthanomError
from synthanom_builders.named import NAMES

# what every data set's command takes
Variants = Annotated[int, typer.Option(help="Anomalous pictures per image and task.")]
Seed = Annotated[int, typer.Option(help="Settles folds and anomalies.")]
Workers = Annotated[int | None, typer.Option(help="Processes; the result does not depend on it. All cores.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler, as tcp://host:8786: its workers do the work.")
]
TaskNames = Annotated[
    str | None,
    typer.Option(
        help="Stored names with commas between; the paper's five by default.", autocompletion=listed_task_names
    ),
]
TaskFile = Annotated[Path | None, typer.Option(help="YAML: task name to settings, 'label', 'options'.")]
LabelName = Annotated[
    str | None, typer.Option("--label", help="flipped_gaussian (default), logistic, binary or factor.")
]
DonorSet = Annotated[Path | None, typer.Option(help="Data set that inter_blend borrows from; else textures.")]
WithinName = Annotated[
    str | None,
    typer.Option("--within", help="Where anomalies may lie: table of boxes (.csv), folder of boxes in YOLO's way."),
]
Folds = Annotated[int | None, typer.Option(help="Number of folds; as many as tasks by default.")]
CodecName = Annotated[
    str,
    typer.Option(
        "--codec",
        help="gzip, or faster: lzf; zstd, lz4 (hdf5plugin). See speed.md.",
        autocompletion=lambda: ["gzip", "lzf", "zstd", "lz4"],
    ),
]
Test = Annotated[bool, typer.Option("--test", help="List the scans to test on, with their truth, instead of building.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be built; write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else, to stdout.")]
PartName = Annotated[str | None, typer.Option("--part", help="K/N: one of N jobs; then synthanom merge OUT.")]
Mixed = Annotated[
    bool,
    typer.Option(
        "--mixed-fingerprints",
        help="Let workers or parts with other libraries or processors take part; values then agree within 1e-4.",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]

app = typer.Typer(
    name="build-dataset",
    help="Build a data set of healthy images and labelled synthetic anomalies.",
    no_args_is_help=True,
    epilog=exits.EPILOG,
)


def main() -> None:
    """Entry point of `build-dataset`."""
    kept = "it begins anew, and an earlier list is as it was" if "--test" in sys.argv else "what is finished is kept"
    exits.run(app, resume_hint=f"{exits.AGAIN}: {kept}")


@app.callback()
def _commands() -> None:
    """Build a data set of healthy images and labelled synthetic anomalies."""


@app.command()
def folder(
    raw: Annotated[Path, typer.Argument(help="Folder of NIfTI, DICOM, PNG, JPEG, NRRD or MetaImage files.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set; new, empty, or a build to go on with.")],
    variants: Variants = 10,
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tasks: TaskNames = None,
    task_config: TaskFile = None,
    label: LabelName = None,
    donors: DonorSet = None,
    normalise: Annotated[
        str | None,
        typer.Option(
            help="zscore (default for volumes), minus-one-one (default for pictures) or none.",
            autocompletion=lambda: ["zscore", "minus-one-one", "none"],
        ),
    ] = None,
    spacing: Annotated[str | None, typer.Option(help="Voxel size in mm to resample to: Z,Y,X or one number.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="Z,Y,X voxels to crop and pad volumes to, Y,X to resize pictures to.")
    ] = None,
    foreground: Annotated[
        str | None,
        typer.Option(help="nonzero (default for volumes), otsu, none, or pattern of masks: '*_mask.nii.gz'."),
    ] = None,
    channels: Annotated[
        str | None, typer.Option(help="Regular expression whose group captures the contrast: '_(T1|T2)\\.nii'.")
    ] = None,
    subjects: Annotated[
        str | None, typer.Option(help="CSV with columns id,subject, or regular expression with a group.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Where anomalies may lie: pattern of masks ('*_lung.nii.gz'), table of boxes (.csv), folder of boxes."
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="auto recognises bids, nnunet and anomalib by what lies where; plain takes every image.",
            autocompletion=lambda: ["auto", "plain", "bids", "nnunet", "anomalib"],
        ),
    ] = "auto",
    volume: Annotated[int | None, typer.Option(help="Which volume of 4D files and series, counted from 0.")] = None,
    allow_gaps: Annotated[
        bool, typer.Option("--allow-gaps", help="Interpolate missing and unevenly spaced DICOM slices.")
    ] = False,
    grey: Annotated[bool, typer.Option("--grey", help="Turn colour into grey (0.299 R + 0.587 G + 0.114 B).")] = False,
    folds: Folds = None,
    codec: CodecName = "gzip",
    part: PartName = None,
    mixed: Mixed = False,
    test: Test = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    debug: Debug = False,
) -> int:
    """Build a data set from the images under a folder."""
    del debug  # taken care of before this is called
    from synthanom.volumes.reading import Reading
    from synthanom_builders.folder import list_cases, list_known
    from synthanom_builders.running import Manner, run_build, run_list
    from synthanom_builders.settings import (
        BuildSettings,
        chosen_config,
        chosen_normalisation,
        chosen_tasks,
        shape_option,
        spacing_option,
    )

    config = chosen_config(task_config, label)
    chosen = chosen_tasks(tasks, config)
    settings = BuildSettings(
        variants=variants,
        seed=seed,
        tasks=chosen,
        labeller=config.labeller,
        options=config.options,
        normalise=chosen_normalisation(normalise),
        spacing=spacing_option(spacing),
        shape=shape_option(shape),
        foreground=foreground or "auto",
        channels=channels,
        subjects=subjects,
        folds=len(chosen) if folds is None else folds,
        donors=donors,
        reading=Reading(volume=volume, allow_gaps=allow_gaps, grey=grey),
        codec=codec,
        layout=layout,
        within=within,
    )
    how = Manner(workers=workers, scheduler=scheduler, part=part, mixed=mixed, dry_run=dry_run, as_json=as_json)
    if test:
        return run_list(raw, out, settings, list_known, how)
    return run_build(raw, out, settings, list_cases, how)


def _add_named(name: str, words: str) -> None:
    """Add the command of a data set that is known by name; its files and steps are its own."""

    @app.command(name, help=words)
    def command(
        raw: Annotated[Path, typer.Argument(help="Folder of the data set as it is unpacked.")],
        out: Annotated[Path, typer.Option(help="Folder of the data set to be; new, empty, or a build to go on with.")],
        variants: Variants = 10,
        seed: Seed = 0,
        workers: Workers = None,
        scheduler: Scheduler = None,
        tasks: TaskNames = None,
        task_config: TaskFile = None,
        label: LabelName = None,
        donors: DonorSet = None,
        shape: Annotated[str | None, typer.Option(help="Sides of every image, instead of the usual ones.")] = None,
        folds: Folds = None,
        codec: CodecName = "gzip",
        contrasts: Annotated[
            str | None, typer.Option(help="Contrasts to take as channels, in this order: T1,T2 (brains).")
        ] = None,
        subjects: Annotated[
            str | None, typer.Option(help="CSV with columns id,subject, or pattern with a group (knee-us).")
        ] = None,
        within: WithinName = None,
        split: Annotated[str | None, typer.Option(help="Name of the split in --split-file: ddad (vindr-cxr).")] = None,
        split_file: Annotated[Path | None, typer.Option(help="File that names the images to take (vindr-cxr).")] = None,
        part: PartName = None,
        mixed: Mixed = False,
        test: Test = False,
        dry_run: DryRun = False,
        as_json: Json = False,
        debug: Debug = False,
    ) -> int:
        del debug  # taken care of before this is called
        from synthanom.volumes.reading import Reading
        from synthanom_builders.named import named
        from synthanom_builders.running import Manner, run_build, run_list
        from synthanom_builders.settings import (
            BuildSettings,
            check_split,
            check_subjects,
            check_within,
            chosen_config,
            chosen_contrasts,
            chosen_tasks,
            shape_option,
        )

        data_set = named(name)
        check_split(name, data_set.split, split, split_file)
        check_subjects(name, data_set.takes_subjects, subjects)
        check_within(name, within)
        config = chosen_config(task_config, label)
        chosen = chosen_tasks(tasks, config)
        settings = BuildSettings(
            variants=variants,
            seed=seed,
            tasks=chosen,
            labeller=config.labeller,
            options=config.options,
            shape=shape_option(shape) or data_set.shape,
            subjects=subjects,
            folds=len(chosen) if folds is None else folds,
            donors=donors,
            dataset=name,
            split=split_file,
            contrasts=chosen_contrasts(contrasts, data_set.contrasts, data_set.usual),
            reading=Reading(grey=data_set.grey),
            codec=codec,
            within=within,
        )
        how = Manner(workers=workers, scheduler=scheduler, part=part, mixed=mixed, dry_run=dry_run, as_json=as_json)
        if test:
            return run_list(raw, out, settings, data_set.list_known, how)
        if data_set.list_cases is None:
            raise SynthanomError(f"{name}: holds no healthy scans to train on; list those to test on with --test")
        return run_build(raw, out, settings, data_set.list_cases, how)


for _name, _words in NAMES.items():
    _add_named(_name, _words)
for _command in app.registered_commands:
    _command.epilog = exits.EPILOG
