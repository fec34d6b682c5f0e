"""The Lightning data modules in a plain Trainer with a foreign module: epochs, resuming, several processes, devices."""

import threading

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from phantoms import phantom
from tiny_dataset import TASKS, write_tiny

from synthanom import Mixture, SynthanomError, tasks
from synthanom.integrations import lightning as adapters
from synthanom.integrations.lightning import LiveDataModule, RunDataModule
from synthanom.shards import DataSet
from synthanom.training.batches import StoredPictures, make_loader, portions
from synthanom.training.folds import choose_run
from synthanom.training.live import live_pictures
from synthanom.training.live_batches import LiveBatches
from synthanom.training.rows import index_rows, training_picks, validation_picks

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]

SHAPE = (32, 32)
SAMPLES = [phantom(SHAPE, 1, seed) for seed in range(6)]
HELD = [phantom(SHAPE, 1, seed) for seed in range(10, 13)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("lightning") / "data", shape=SHAPE)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("synthanom")]


class Plain(LightningModule):
    """Somebody's module that knows nothing of synthanom, and notes what it is shown."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = torch.nn.Conv2d(1, 1, 3, padding=1)
        self.seen = {"train": [], "validate": [], "predict": []}

    def training_step(self, batch, index):
        images, labels = batch
        self.seen["train"].append((self.current_epoch, images.cpu().clone(), labels.cpu().clone()))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(self.network(images)[:, 0], labels)
        self.log("loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch, index):
        self.seen["validate"].append((self.current_epoch, *(part.cpu().clone() for part in batch)))

    def predict_step(self, batch, index):
        return self.network(batch[0]).amax(dim=(1, 2, 3))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def shown(self, side, epoch):
        return [tuple(parts) for number, *parts in self.seen[side] if number == epoch]


def trainer(epochs, **settings):
    return Trainer(
        **{
            "max_epochs": epochs,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            **settings,
        }
    )


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


def expected(folder, epoch, *, live=False, size=3, seed=5, flip=0.0):
    """The batches that `synthanom-train` shows in an epoch."""
    with DataSet.open(folder) as data:
        run = choose_run(TASKS, 2, 4)
        picks = training_picks(index_rows(data, run), run, epoch=epoch, seed=seed, flip=flip, live=live)
        source = live_pictures(data, run, seed=seed) if live else StoredPictures(data=data)
        return list(make_loader(source, picks, batch_size=size, workers=0))


def run_module(folder, **settings):
    return RunDataModule(folder, **{"train_tasks": 2, "run": 4, "batch_size": 3, "seed": 5, **settings})


@pytest.mark.parametrize("live", [False, True])
def test_epochs_are_those_of_a_training_run(folder, live):
    module = Plain()
    trainer(3).fit(module, datamodule=run_module(folder, live=live))
    for epoch in range(3):
        assert same(module.shown("train", epoch), expected(folder, epoch, live=live))
        assert same(module.shown("validate", epoch), module.shown("validate", 0))
    assert not same(module.shown("train", 0), module.shown("train", 1))


@pytest.mark.parametrize(
    "settings",
    [
        {"reload_dataloaders_every_n_epochs": 1},
        {"val_check_interval": 1},
        {"num_sanity_val_steps": 2},
        {"accumulate_grad_batches": 2, "limit_val_batches": 1},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_other_ways_of_training_show_the_same(folder, settings):
    module = Plain()
    trainer(2, **settings).fit(module, datamodule=run_module(folder))
    assert same(module.shown("train", 0), expected(folder, 0)) and same(module.shown("train", 1), expected(folder, 1))


def test_worker_processes_change_nothing(folder):
    module = Plain()
    trainer(2).fit(module, datamodule=run_module(folder, workers=1, live=True))
    assert same(module.shown("train", 1), expected(folder, 1, live=True))


def test_validation_and_prediction_show_the_validation_pictures(folder):
    data = run_module(folder)
    module = Plain()
    runner = trainer(1)
    runner.fit(module, datamodule=data)
    scores = torch.cat(runner.predict(module, datamodule=data))
    with DataSet.open(folder) as opened:
        run = choose_run(TASKS, 2, 4)
        picks = validation_picks(index_rows(opened, run), run)
        batches = list(make_loader(StoredPictures(data=opened), picks, batch_size=3, workers=0))
    assert same(module.shown("validate", 0), batches) and len(scores) == len(picks)
    data.setup()
    assert data.validated == picks and data.run == run
    data.teardown()


def test_a_checkpoint_goes_on_with_the_next_epoch(folder, tmp_path):
    whole = Plain()
    trainer(4).fit(whole, datamodule=run_module(folder))
    first, second = Plain(), Plain()
    keeper = ModelCheckpoint(dirpath=tmp_path, save_last=True)
    trainer(2, callbacks=[keeper], enable_checkpointing=True).fit(first, datamodule=run_module(folder))
    trainer(4).fit(second, datamodule=run_module(folder), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    for epoch in (2, 3):
        assert same(second.shown("train", epoch), whole.shown("train", epoch)) and whole.shown("train", epoch)
    assert not second.shown("train", 1)
    assert all(torch.equal(a, b) for a, b in zip(second.parameters(), whole.parameters(), strict=True))
    with pytest.raises(SynthanomError, match="checkpoint must be of this data set"):
        trainer(4).fit(
            Plain(), datamodule=run_module(folder, seed=6), ckpt_path=tmp_path / "last.ckpt", weights_only=True
        )


class Standing:
    """A trainer of one of several processes."""

    def __init__(self, rank, ranks, device="cpu", epoch=0):
        self.global_rank, self.world_size, self.current_epoch = rank, ranks, epoch
        self.strategy = type("Strategy", (), {"root_device": torch.device(device)})


def test_processes_share_every_batch(folder):
    module = run_module(folder, batch_size=4)
    module.setup()
    parts = []
    for rank in range(3):
        module.trainer = Standing(rank, 3, epoch=1)
        loader = module.train_dataloader()
        parts.append(list(loader))
        assert len(loader) == len(parts[-1])
    whole = expected(folder, 1, size=4)
    assert {len(part) for part in parts} == {len(whole)}
    for number, batch in enumerate(whole[:-1]):
        assert torch.equal(torch.cat([part[number].images for part in parts]), batch.images)
    module.teardown()


@pytest.mark.slow
def test_two_real_processes_share_every_batch(folder, tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torch; torch.set_num_threads(1)\n"
        "from test_integrations_lightning import Plain, run_module, trainer\n"
        "class Told(Plain):\n"  # the parent's trainer does not learn the steps of spawned processes
        "    def on_train_end(self):\n"
        "        print('steps', self.global_step, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    runner = trainer(2, devices=2, strategy='ddp_spawn')\n"
        f"    runner.fit(Told(), datamodule=run_module({str(folder)!r}, batch_size=4))\n"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"steps {2 * len(expected(folder, 0, size=4))}\n") == 2, done.stdout


def test_live_pictures_are_made_on_a_device_that_is_better_at_it(folder, monkeypatch):
    monkeypatch.setattr(adapters, "makes_batches_on", lambda device: True)
    module = run_module(folder, live=True)
    module.setup()
    module.trainer = Standing(0, 1, epoch=1)
    batches = module._training()
    assert isinstance(batches, LiveBatches)
    for made, other in zip(batches, expected(folder, 1, live=True), strict=True):
        assert torch.allclose(made.images, other.images, atol=1e-2) and torch.allclose(
            made.labels, other.labels, atol=5e-3
        )
    module.teardown()


def test_a_module_that_is_not_set_up_says_so(folder, tmp_path):
    with pytest.raises(SynthanomError, match="set up"):
        run_module(folder).train_dataloader()
    with pytest.raises(SynthanomError, match="nothing"):
        run_module(tmp_path / "nothing").setup()
    with pytest.raises(SynthanomError, match="run must be"):
        run_module(folder, run=99).setup()


def live_module(**settings):
    mixture = Mixture(tasks=[tasks.Sink(), tasks.IntraBlend()], donors=SAMPLES)
    held = {"validation": HELD, "validation_mixture": tasks.SmoothIntensity()}
    return LiveDataModule(SAMPLES, mixture, **{"seed": 5, "batch_size": 4, **held, **settings})


def pictures(batches):
    return {image.numpy().tobytes() for images, _ in batches for image in images}


@pytest.mark.parametrize("on_device", [False, True])
def test_samples_at_hand_get_other_pictures_in_every_epoch(on_device):
    module, data = Plain(), live_module(on_device=on_device)
    trainer(2).fit(module, datamodule=data)
    for epoch in range(2):
        made = {data.mixture.make(s, seed=5, draw=f"epoch-{epoch}").image.tobytes() for s in SAMPLES}
        assert pictures(module.shown("train", epoch)) == made
        held = [data.validation_mixture.make(s, seed=5, draw="validation") for s in HELD]
        assert pictures(module.shown("validate", epoch)) == {one.image.tobytes() for one in held}
        labels = torch.cat([labels for _, labels in module.shown("validate", epoch)])
        assert np.array_equal(labels, np.stack([one.label for one in held]))
    assert [len(images) for images, _ in module.shown("train", 0)] == [4, 2]


def test_orders_differ_between_epochs_and_workers_change_nothing():
    module, other = Plain(), Plain()
    trainer(2).fit(module, datamodule=live_module(validation=()))
    trainer(2).fit(other, datamodule=live_module(validation=(), workers=1))
    assert same(module.shown("train", 1), other.shown("train", 1)) and not module.shown("validate", 0)
    data = live_module()
    orders = []
    for epoch in range(2):
        data.trainer = Standing(0, 1, epoch=epoch)
        orders.append([pick.healthy for part in _parts_shown(data) for pick in part])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(6)) and orders[0] != orders[1]
    data.teardown()


def _parts_shown(data):
    return data._training().parts


def test_samples_are_dealt_out_to_processes():
    whole, parts = live_module(), []
    expected_parts = _parts_shown(whole)
    for rank in range(2):
        data = live_module()
        data.trainer = Standing(rank, 2)
        parts.append(_parts_shown(data))
    assert [first + second for first, second in zip(*parts, strict=True)] == list(expected_parts)
    assert portions(range(6), 4)[1] == (4, 5)


def test_samples_that_share_an_id_and_workers_on_a_device_are_refused():
    with pytest.raises(SynthanomError, match="id of its own"):
        LiveDataModule([SAMPLES[0], SAMPLES[0]], tasks.Sink(), seed=0)
    with pytest.raises(SynthanomError, match="workers must be 0"):
        LiveDataModule(SAMPLES, tasks.Sink(), seed=0, workers=1, on_device=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pictures_are_made_on_a_cuda_device():
    module = Plain()
    trainer(1, accelerator="gpu", devices=1).fit(module, datamodule=live_module(on_device=True))
    assert len(module.shown("train", 0)) == 2
