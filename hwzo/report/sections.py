"""The sections of a run's page that are words and tables; those that are drawings are in files of their own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import cast

from hwzo.report.markup import Markup, element, facts, join, paragraph, section, table
from hwzo.report.material import Material
from hwzo.report.quantity import amount, count, share, share_error
from hwzo.train.config import TrainConfig

_STOPPED = {"budget": "the budget was spent", "target": "the target was reached"}


def headline(material: Material) -> Markup:
    """Title, labels, a sentence, and the few numbers that matter most."""
    config, device = material.run.config, material.table("device")
    badges = [element("span", material.kind.upper(), class_=f"badge {material.kind}")]
    if material.run.result is None:
        badges.append(element("span", "UNFINISHED", class_="badge unfinished"))
    title = element("h1", f"{config.task} on {device.get('model', config.device)} ", join(badges, " "))
    size = device.get("n_parameters")
    what = [f"{device['layers']} network"] if device.get("layers") else []
    what += [f"{size:,} parameters"] if isinstance(size, int) else []
    lead = paragraph(
        f"{', '.join(what)}; trained in place by method " if what else "Trained in place by method ",
        element("b", config.method),
        f" ({material.table('method').get('exploration', 'exploration unknown')}), seed {config.seed}. ",
        "No hardware was involved: the device is emulated in software." if material.emulated else "",
    )
    notes = [paragraph(note) for note in material.damage]
    warning = element("div", *notes, class_="warning") if notes else ""
    return element("header", title, lead, _cards(material), warning)


def _cards(material: Material) -> Markup:
    spent = material.spent
    commanded = "nothing was commanded" if not spent.commanded_probes else "of these evaluations"
    cards = [
        _outcome(material),
        ("evaluations", count(spent.evaluations), "minibatch loss readings"),
        ("commanded probes", count(spent.commanded_probes), commanded),
        ("cell writes", count(spent.cost.cell_writes), "programming operations"),
        ("device time", amount(spent.cost.device_seconds, "s"), f"and {amount(spent.cost.joules, 'J')}"),
    ]
    boxes = (element("div", element("span", a), element("strong", b), element("small", c)) for a, b, c in cards)
    return element("div", *boxes, class_="cards")


def _outcome(material: Material) -> tuple[str, str, str]:
    """The number that says how well it learned: the best of its kind that the run has."""
    result, looks = material.run.result, material.run.validations
    if result is not None and result.test_accuracy is not None:
        name, p, n = "test accuracy", result.test_accuracy, result.test_samples
    elif looks and looks[-1].accuracy is not None:
        name, p, n = "validation accuracy", looks[-1].accuracy, looks[-1].samples
    elif looks:
        return "validation loss", f"{looks[-1].loss:#.3g}", f"one pass over {count(looks[-1].samples)} samples"
    else:
        return "validation", "none", "the run has not looked yet"
    if 0 < p < 1:
        return name, f"{100 * p:.1f}%", f"± {100 * share_error(p, n):.1f} (1 standard error), n\u00a0=\u00a0{count(n)}"
    return name, f"{100 * p:.0f}%", f"n = {count(n)} samples"


def results(material: Material) -> Markup:
    """Every number of the result under a plain name."""
    run, result, spent = material.run, material.run.result, material.spent
    rows: list[tuple[object, object]] = []
    if result is not None:
        none = "none: the device gives a loss only"
        tested = none if result.test_accuracy is None else share(result.test_accuracy, result.test_samples)
        rows.append(("Test accuracy, read once on the device", tested))
    looks = run.validations
    if looks:
        last = looks[-1]
        accuracy = "none: the device gives a loss only" if last.accuracy is None else share(last.accuracy, last.samples)
        rows.append(("Validation accuracy, last look", accuracy))
        rows.append(
            ("Validation loss, last look", f"{last.loss:.5g} (one noisy pass over {count(last.samples)} samples)")
        )
    if result is not None:
        target = f"Target, {100 * result.target:g}% on validation"
        at = result.evaluations_to_target
        reached = "not reached" if at is None else f"first seen after {count(at)} evaluations"
        rows.append((target, f"{reached} (a look every {count(run.config.validate_every)})"))
    cost, size = spent.cost, material.table("device").get("n_parameters")
    per_cell = f", {cost.cell_writes / size:,.1f} for each parameter" if isinstance(size, int) and size else ""
    rows += [
        ("Steps", count(material.steps)),
        ("Evaluations (minibatch loss readings)", count(spent.evaluations)),
        ("Commanded probes among them", count(spent.commanded_probes)),
        ("Cell writes", f"{count(cost.cell_writes)}{per_cell}"),
        ("Device time", f"{amount(cost.device_seconds, 's')} on the device's own clock"),
        ("Energy", f"{amount(cost.joules, 'J')} by the device's own account"),
    ]
    if result is not None:
        rows.append(("Host time", f"{amount(spent.wall_seconds, 's')} of training, on this host's clock"))
    rows.append(("Exploration", material.table("method").get("exploration", "unknown")))
    rows.append(("Why that", material.table("method").get("reason", "not recorded")))
    if result is not None:
        rows.append(("Why it ended", _STOPPED.get(result.stopped, result.stopped)))
        rows.append(("CRC-32 of the final targets", f"{result.parameters_crc32} ({result.parameters_crc32:08x} hex)"))
    unfinished = paragraph(
        f"The run is not finished: these are its numbers after {count(material.steps)} steps. Its test split has not "
        "been read."
    )
    return section("Result", unfinished if result is None else "", facts(rows))


def events(material: Material) -> Markup:
    """What the journal says happened besides steps."""
    rows = [(_clock(time), count(t), kind, detail) for time, t, kind, detail in material.run.events]
    if not rows:
        return section("Events", paragraph("Nothing but steps: no stop, no resumption, no failure."))
    return section("Events", table(("when", "step", "what", "detail"), rows))


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def configuration(material: Material) -> Markup:
    """All of run.toml, and the command that does it again."""
    config = material.run.config
    blocks: list[Markup] = []
    for name, title in (
        ("config", "Configuration"),
        ("method", "Method"),
        ("device", "Device"),
        ("task", "Task"),
        ("versions", "Versions"),
    ):
        rows = list(_flat(material.table(name)))
        if rows:
            blocks.append(element("div", element("h3", title), facts(rows)))
    return section(
        "Configuration and versions",
        paragraph("As a command:"),
        element("pre", _command(config)),
        element("div", *blocks, class_="columns"),
    )


def _command(config: TrainConfig) -> str:
    words = ["hwzo", "train"]
    for key, value in config.model_dump(exclude_none=True).items():
        if key in ("task", "device", "method", "budget", "seed", "target"):
            words += [f"--{key}", str(value)]
        elif value != TrainConfig.model_fields[key].default:
            words += ["--set", f"{key}={value}"]
    return shlex.join(words)


def _flat(values: Mapping[str, object], before: str = "") -> list[tuple[object, object]]:
    rows: list[tuple[object, object]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(cast("Mapping[str, object]", value), f"{before}{key}: ")
        elif value != "":
            rows.append((f"{before}{key.replace('_', ' ')}", _plain(value)))
    return rows


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value


def counting(material: Material) -> Markup:
    """How the page's numbers were counted."""
    account = "the emulator's model of the device" if material.emulated else "the device's own account"
    lines = [
        "An evaluation is one loss reading of one minibatch, for training or calibration; two noisy passes are two "
        "evaluations. Looks at the validation split and the one at the test split are not among them.",
        "A commanded probe is an evaluation with a displacement that the host asked for. Displacements that the device "
        "made by its own noise are not commanded.",
        "A cell write is one programming operation on one memory cell, those of the first programming and of commanded "
        f"displacements included. Device time and energy come from {account}; training and calibration only.",
        "An accuracy is the fraction of a split told right in one noisy pass. Its standard error is binomial, "
        "√(p(1−p)/n): how far another sample of n of the same kind would move it. It says nothing of other seeds: for "
        "those, run others.",
        "Whatever was chosen during training was chosen on the validation split. The test split was read once, at the "
        "end, and not for this page.",
    ]
    return section("How these numbers were counted", element("ul", *(element("li", line) for line in lines)))
