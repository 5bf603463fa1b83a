"""One attempt at a run, from spec to adapter; read ``Run.__call__`` first.

Everything that decides a result follows from the spec, the data and the step's number, never from a clock: an attempt
that resumes therefore does, bit for bit, what the one before would have done.
"""

from __future__ import annotations

import json
import math
import time
from hashlib import sha256
from itertools import islice
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from sintonia.errors import FailedPrecondition, InvalidArgument
from sintonia.model_families import ModelFamily, open_family
from sintonia.modeling.load import choose_device, choose_precision, load_base_model
from sintonia.modeling.lora import add_adapter, load_adapter, trainable_parameters
from sintonia.runs.durable import remove_leftovers
from sintonia.runs.events import Progress, Started
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import TrainingSpec
from sintonia.runs.tokens import TokenColumns
from sintonia.training.checkpoint import Position, ResumeCheckpoints
from sintonia.training.data import Example, TokenisedRows, epoch_order, micro_batches, open_rows
from sintonia.training.evaluation import Measures, evaluate
from sintonia.training.export import export_checkpoint
from sintonia.training.forward import choose_forward
from sintonia.training.plan import TRAINING_COST, make_plan
from sintonia.training.reporting import Pace, Reporter, start_summary
from sintonia.training.schedule import learning_rate, warmup_steps
from sintonia.training.stopping import Stopping, StopRequest

MICRO_BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
"""Tokens that go through the model at a time: enough to keep the device busy, few enough for its memory."""


class Run:
    """Loads what a run needs.

    Raises:
        ApiError: something is wrong that the user can act on.
        Stopping: a stop was requested meanwhile.
    """

    def __init__(self, directory: RunDirectory, spec: TrainingSpec, reporter: Reporter, stop: StopRequest) -> None:
        self._directory = directory
        self._spec = spec
        self._reporter = reporter
        self._stop = stop
        self._resume_checkpoints = ResumeCheckpoints(directory.resume)
        remove_leftovers(directory.resume)
        remove_leftovers(directory.checkpoints)

        def family() -> ModelFamily:
            return open_family(spec.family, spec.model_dir)

        self._rows = open_rows(directory.train_tokens, directory.train_file, family, on_row=self._loading)
        if not self._rows:
            raise InvalidArgument("No training row has a token to learn: every row needs a turn of the model.")
        self._validation = TokenisedRows.of(TokenColumns())
        if directory.validation_file.exists():
            self._validation = open_rows(
                directory.validation_tokens, directory.validation_file, family, on_row=self._loading
            )
        self._plan = make_plan(
            spec,
            rows=len(self._rows),
            train_tokens=self._rows.token_count,
            validation_tokens=self._validation.token_count,
        )
        self._warmup = warmup_steps(self._plan.total_steps, spec.warmup_fraction)
        self._fingerprint = _fingerprint(spec, self._rows, self._validation)

        self._device = choose_device(spec.device)
        self._precision = choose_precision(self._device, spec.precision)
        self._budget = MICRO_BATCH_TOKENS[self._device.type]
        self._adapted = self._load_model()
        self._parameters = trainable_parameters(self._adapted)
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=spec.learning_rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=spec.weight_decay,
        )
        samples = list(islice(self._rows.examples(), 2))
        self._forward, why = choose_forward(
            self._adapted.get_base_model(),
            (samples * 2)[:2],
            longest=max(self._rows.longest, self._validation.longest),
            device=self._device,
            precision=self._precision,
        )
        reporter.line(f"examples go through the model {why}")

        self._step = 0
        self._settled = False
        self._loss: float | None = None
        self._saved_at = time.monotonic()
        self._training_pace = Pace()
        self._evaluation_pace = Pace()

    def __call__(self) -> None:
        """Train to the end of the plan, from the newest resume checkpoint if there is one.

        Raises:
            ApiError: as above.
            Stopping: a stop was requested; the state after the last completed step is saved.
        """
        self._restore()
        self._tell_start()
        try:
            if not self._settled:
                self._settle()
            while self._step < self._plan.total_steps:
                self._train_step()
                self._settle()
                self._save_if_due()
        except Stopping:
            self._save()
            self._reporter.stopped(self._step)
            raise
        self._reporter.finished(self._step)

    def _train_step(self) -> None:
        """One optimizer step. Until its very end nothing changes but gradients, so it can be left at any moment."""
        step = self._step + 1
        self._training_pace.resume()
        examples = self._examples_of(step)
        measures = self._gradients(examples)
        gradient_norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._spec.max_gradient_norm)
        for name, value in (("loss", measures.loss), ("gradient", float(gradient_norm))):
            if not math.isfinite(value):
                raise InvalidArgument(
                    f"The {name} became {value} at step {step}; lower the learning-rate multiplier and start a new job."
                )
        rate = learning_rate(
            step, total_steps=self._plan.total_steps, warmup=self._warmup, peak=self._spec.learning_rate
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._step, self._settled = step, False
        values = measures.series("train")
        self._loss = values["/train_total_loss"]
        self._reporter.metrics(step, values)
        self._tell_progress("training")

    def _gradients(self, examples: list[Example]) -> Measures:
        """``_accumulate_gradients`` afresh, in smaller micro-batches from now on if a GPU's memory is too small."""
        while True:
            self._optimizer.zero_grad()
            try:
                return self._accumulate_gradients(examples)
            except torch.OutOfMemoryError:
                if self._budget <= max(map(len, examples)):
                    raise
                self._budget //= 2
                self._reporter.line(f"out of memory: at most {self._budget} tokens at a time from now on")
            # Outside of the handler: its traceback would keep the failed attempt's tensors alive.
            torch.cuda.empty_cache()

    def _accumulate_gradients(self, examples: list[Example]) -> Measures:
        """Gradients of the mean loss over all target tokens of ``examples``, however they are cut."""
        targets = sum(example.target_count for example in examples)
        measures = Measures()
        for batch in micro_batches(examples, self._budget):
            losses = self._forward(batch)
            (losses.loss_T.sum() / targets).backward()
            measures.add(losses)
            self._training_pace.add(sum(map(len, batch)))
            self._tell_progress("training")
            self._stop.check()
        return measures

    def _settle(self) -> None:
        """Do what the plan wants after the current step. Doing it again, after a crash, changes nothing."""
        if self._step in self._plan.evaluations:
            self._tell_progress("evaluating", now=True)
            self._evaluation_pace.resume()
            values = evaluate(self._forward, self._validation.examples(), budget=self._budget, on_batch=self._evaluated)
            self._reporter.metrics(self._step, values)
            self._reporter.line(f"step {self._step}: validation loss {values['/eval_total_loss']:.4f}")
        planned = self._plan.checkpoints.get(self._step)
        if planned is not None:
            self._tell_progress("exporting", now=True)
            directory = self._directory.checkpoint(planned.checkpoint_id)
            export_checkpoint(directory, self._adapted, planned, base_model=self._spec.base_model)
            self._reporter.checkpoint(planned)
        self._settled = True
        if planned is not None:
            self._save()

    def _evaluated(self, tokens: int) -> None:
        self._evaluation_pace.add(tokens)
        self._tell_progress("evaluating")
        self._stop.check()

    def _examples_of(self, step: int) -> list[Example]:
        epoch, index = divmod(step - 1, self._plan.steps_per_epoch)
        order = epoch_order(self._spec.seed, epoch, len(self._rows))
        start = index * self._spec.batch_size
        return [example for row in order[start : start + self._spec.batch_size] for example in self._rows.row(int(row))]

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at >= self._spec.resume_checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for name, parameter in self._parameters.items():
            tensors[f"adapter/{name}"] = parameter.detach().cpu().contiguous()
            for key, value in self._optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value.cpu().contiguous()
        # Nothing draws random numbers during training today; a resumed run stays exact if something ever does.
        tensors["random/cpu"] = torch.get_rng_state()
        self._resume_checkpoints.save(Position(self._step, self._settled, self._fingerprint), tensors)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        found = self._resume_checkpoints.load(self._fingerprint)
        if found is None:
            return
        position, tensors = found
        state: dict[int, dict[str, Tensor]] = {}
        for number, (name, parameter) in enumerate(self._parameters.items()):
            parameter.data.copy_(tensors[f"adapter/{name}"])
            keys = ("step", "exp_avg", "exp_avg_sq")
            if position.step:
                state[number] = {key: tensors[f"optimizer/{key}/{name}"] for key in keys}
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})
        torch.set_rng_state(tensors["random/cpu"])
        self._step, self._settled = position.step, position.settled

    def _load_model(self) -> Any:
        spec = self._spec
        self._loading()
        try:
            model = load_base_model(spec.model_dir, device=self._device, precision=self._precision)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise FailedPrecondition(f"The base model '{spec.base_model}' cannot be loaded: {error}") from error
        self._loading()
        adapted = add_adapter(model, rank=spec.adapter_rank, alpha=spec.adapter_alpha, seed=spec.seed)
        if spec.initial_adapter:
            try:
                load_adapter(adapted, self._directory.initial_adapter, base_model=spec.base_model)
            except FailedPrecondition as error:
                raise FailedPrecondition(
                    f"The run cannot begin with {spec.initial_adapter}: {error.message}"
                ) from error
            self._reporter.line(f"the adapter begins as that of {spec.initial_adapter}")
        adapted.to(self._device)
        return adapted

    def _loading(self) -> None:
        self._stop.check()
        self._reporter.loading()

    def _tell_start(self) -> None:
        event = Started(
            attempt=self._reporter.attempt,
            pid=self._reporter.pid,
            resumed_from_step=self._step,
            total_steps=self._plan.total_steps,
            steps_per_epoch=self._plan.steps_per_epoch,
            epochs=self._spec.epochs,
            trainable_parameters=sum(parameter.numel() for parameter in self._parameters.values()),
            device=str(self._device),
            precision=self._precision,
            packing=self._forward.packing,
        )
        self._reporter.started(event)
        self._reporter.line(start_summary(event))

    def _tell_progress(self, activity: str, *, now: bool = False) -> None:
        event = Progress(
            step=self._step,
            epoch=self._plan.completed_epochs(self._step),
            loss=self._loss,
            tokens_per_second=self._training_pace.tokens_per_second,
            seconds_left=self._seconds_left(),
            activity=activity,
        )
        self._reporter.progress(event, now=now)

    def _seconds_left(self) -> float | None:
        training = self._training_pace.tokens_per_second
        evaluating = self._evaluation_pace.tokens_per_second
        if training is None:
            return None
        share = 1 - self._step / self._plan.total_steps
        seconds = self._rows.token_count * self._spec.epochs * share / training
        remaining = self._plan.evaluations_after(self._step) * self._validation.token_count
        return seconds + remaining / (evaluating or training * TRAINING_COST)


def _fingerprint(spec: TrainingSpec, rows: TokenisedRows, validation: TokenisedRows) -> str:
    """Stands for everything that decides what a run computes."""
    told = spec.model_dump(mode="json", exclude_none=True)
    document = json.dumps([told, rows.digest, validation.digest], sort_keys=True)
    return sha256(document.encode()).hexdigest()
