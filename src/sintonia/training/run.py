"""One attempt at a run, from spec to adapter; read ``Run.__call__`` first.

Everything that decides a result follows from the spec, the data and the step's number, never from a clock: an attempt
that resumes therefore does, bit for bit, what the one before would have done.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import islice

import torch

from sintonia.errors import InvalidArgument, ResourceExhausted
from sintonia.model_families import ModelFamily, open_family
from sintonia.modeling.load import choose_precision
from sintonia.modeling.lora import trainable_parameters
from sintonia.modeling.native import library as kernels
from sintonia.modeling.native.layers import use_native_layers
from sintonia.modeling.recompute import recomputable_layers, recompute
from sintonia.runs.durable import remove_leftovers
from sintonia.runs.events import Progress, Started
from sintonia.runs.layout import RunDirectory
from sintonia.runs.spec import MICRO_BATCH_TOKENS, TrainingSpec
from sintonia.runs.tokens import TokenColumns
from sintonia.training.checkpoint import Position, ResumeCheckpoints, fingerprint_of, load_state, state_tensors
from sintonia.training.compiled import compile_forward, is_wanted
from sintonia.training.data import Example, TokenisedRows, epoch_order, micro_batches, open_rows, shares
from sintonia.training.evaluation import Measures, evaluate
from sintonia.training.export import export_checkpoint
from sintonia.training.forward import choose_forward
from sintonia.training.loading import load_adapted
from sintonia.training.memory import fitting_budget, free_memory, heaviest, measure_step, mebibytes
from sintonia.training.pace import Paces
from sintonia.training.plan import PlannedCheckpoint, make_plan
from sintonia.training.ranks import Outcome, Ranks
from sintonia.training.reporting import Reporter, start_summary
from sintonia.training.schedule import learning_rate, warmup_steps
from sintonia.training.stopping import Stopping, StopRequest
from sintonia.training.watchdog import Watchdog


class Run:
    """Loads what a run needs.

    Raises:
        ApiError: something is wrong that the user can act on.
        Stopping: a stop was requested meanwhile.
    """

    def __init__(
        self,
        directory: RunDirectory,
        spec: TrainingSpec,
        reporter: Reporter,
        stop: StopRequest,
        ranks: Ranks,
        watchdog: Watchdog,
    ) -> None:
        self._directory = directory
        self._spec = spec
        self._reporter = reporter
        self._stop = stop
        self._ranks = ranks
        self._watchdog = watchdog
        self._resume_checkpoints = ResumeCheckpoints(directory.resume)
        self._device = ranks.device
        self._precision = choose_precision(self._device, spec.precision)
        if native := self._device.type == "cpu" and self._precision == "bfloat16" and spec.code_cache is not None:
            kernels.prepare(spec.code_cache)
        if ranks.is_first:
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
        self._fingerprint = fingerprint_of(spec, self._rows.digest, self._validation.digest)

        self._budget = MICRO_BATCH_TOKENS[self._device.type]
        self._adapted = load_adapted(
            directory, spec, device=self._device, precision=self._precision, on_part=self._loading
        )
        if native and spec.compile != "always":  # a compiled layer has such code of its own
            use_native_layers(self._adapted)
        if spec.initial_adapter:
            reporter.line(f"the adapter begins as that of {spec.initial_adapter}")
        self._parameters = trainable_parameters(self._adapted)
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=spec.learning_rate,
            betas=(0.9, 0.999),
            eps=1e-8,
            weight_decay=spec.weight_decay,
            fused=True,
        )
        self._samples = list(islice(self._rows.examples(), 2))
        self._forward, why = choose_forward(
            self._adapted.get_base_model(),
            (self._samples * 2)[:2],
            longest=max(self._rows.longest, self._validation.longest),
            device=self._device,
            precision=self._precision,
        )
        reporter.line(f"examples go through the model {why}")
        if native:
            reason = kernels.why_not()
            reporter.line(f"native kernels are not used: {reason}" if reason else "native kernels are used")

        self._step = 0
        self._settled = False
        self._loss: float | None = None
        self._recomputable = recomputable_layers(self._adapted.get_base_model())
        self._recomputed = 0
        """So many of these are computed anew instead of kept."""
        self._saved_at = time.monotonic()
        self._best_loss: float | None = None
        self._waited = 0
        self._paces = Paces(
            self._plan,
            tokens=self._rows.token_count,
            validation_tokens=self._validation.token_count,
            save_every=spec.resume_checkpoint_seconds,
        )

    def __call__(self) -> None:
        """Train to the end of the plan, from the newest resume checkpoint if there is one.

        Raises:
            ApiError: as above.
            Stopping: a stop was requested; the state after the last completed step is saved.
        """
        self._restore()
        self._tell_start()
        try:
            self._make_room()
            self._compile()
            if not self._settled:
                self._settle()
            while not self._ended():
                self._train_step()
                self._settle()
                self._save_if_due()
        except Stopping:
            self._save()
            raise
        self._reporter.finished(self._step)

    def _make_room(self) -> None:
        """Make micro-batches so small that memory will suffice for the whole run; see ``memory``.

        If that is not enough, nothing but the inputs is kept of as few layers as will do.
        """
        if self._device.type == "cuda":
            self._try_the_heaviest()
            return
        before = self._budget
        while (budget := self._ranks.from_first(self._fitting_budget)) is None:
            self._recompute()
        self._budget = budget
        if self._budget < before:
            self._reporter.line(f"memory is short: at most {self._budget} tokens at a time instead of {before}")

    def _compile(self) -> None:
        """Run compiled layers from here on, if the run is long enough to repay that; see ``compiled``."""
        tokens = self._rows.token_count * self._spec.epochs
        if is_wanted(self._spec, self._adapted, tokens=tokens) and not self._recomputed:
            begun = time.monotonic()
            done = compile_forward(self._adapted, self._forward, self._samples, self._spec)
            self._reporter.line(f"the model's layers are {done} ({time.monotonic() - begun:.0f} s)")

    def _try_the_heaviest(self) -> None:
        longest = max(self._rows.longest, self._validation.longest)
        self._together(self._rehearse, longest=longest)
        self._optimizer.zero_grad()
        torch.cuda.empty_cache()

    def _recompute(self) -> None:
        """Of a quarter of the layers more. Smaller micro-batches come first, as they cost less time."""
        count = len(self._recomputable)
        self._recomputed = min(count, self._recomputed + math.ceil(count / 4))
        recompute(self._adapted.get_base_model(), self._recomputable[: self._recomputed])
        self._reporter.line(
            f"memory is short: {self._recomputed} of {count} layers are computed anew instead of kept, "
            f"{self._recomputed / count / 3:.0%} slower"
        )

    def _fitting_budget(self) -> int | None:
        """None: not even one example fits, but ``_recompute`` may help."""
        examples = heaviest(self._rows.examples(), self._budget)
        need = measure_step(self._forward, self._adapted, examples[0])
        free = (free_memory() - 3 * sum(p.nbytes for p in self._parameters.values())) // self._ranks.count
        self._reporter.line(f"memory: about {mebibytes(need.of(examples))} a step, {mebibytes(free)} are free")
        try:
            return fitting_budget(need, examples, self._budget, free=free)
        except ResourceExhausted:
            if self._recomputed == len(self._recomputable):
                raise
            return None

    def _rehearse(self) -> Measures:
        """The heaviest micro-batches of training and of evaluation, with as much memory taken as Adam will take."""
        moments = [torch.empty_like(parameter) for parameter in self._parameters.values() for _ in range(2)]
        self._forward(heaviest(self._rows.examples(), self._budget)).loss_T.sum().backward()
        evaluate(self._forward, heaviest(self._validation.examples(), self._budget), budget=self._budget)
        del moments
        return Measures()

    def _train_step(self) -> None:
        """One optimizer step. Until its very end nothing changes but gradients, so it can be left at any moment."""
        step = self._step + 1
        self._paces.training.begin()
        examples = self._examples_of(step)
        targets = sum(example.target_count for example in examples)
        share = shares(examples, self._ranks.count)[self._ranks.rank]
        measures = self._together(lambda: self._gradients(share, targets), longest=max(map(len, examples)))
        self._ranks.sum_gradients(self._parameters.values())
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
        # The optimizer's part, and what the others did more than this process, if there are others.
        self._paces.training.add(sum(map(len, examples)) - self._paces.training.done)

    def _together(self, work: Callable[[], Measures], *, longest: int) -> Measures:
        """``work`` in every process, on its own share; the sum of what all of them measured.

        If one is to stop, all do; if memory is too small for one, all try again in smaller micro-batches from now on,
        down to the ``longest`` example alone, and then without keeping activations.
        """
        while True:
            measures, outcome = Measures(), Outcome.DONE
            try:
                measures = work()
                self._stop.check()
            except Stopping:
                outcome = Outcome.STOP
            except torch.OutOfMemoryError:
                outcome = Outcome.TOO_LARGE
            self._watchdog.beat(f"waiting for the others after step {self._step}")
            # Outside of the handlers: their tracebacks would keep the failed attempt's tensors alive.
            outcome = self._ranks.worst(outcome)
            if outcome is Outcome.DONE:
                loss, correct, targets = self._ranks.total([measures.loss, measures.correct, measures.targets])
                return Measures(loss, int(correct), int(targets))
            if outcome is Outcome.STOP:
                raise Stopping
            if self._budget > longest:
                self._budget //= 2
                self._reporter.line(f"out of memory: at most {self._budget} tokens at a time from now on")
            elif self._recomputed < len(self._recomputable):
                self._recompute()
            else:
                raise torch.OutOfMemoryError(f"not even one example of {longest} tokens fits")
            torch.cuda.empty_cache()

    def _gradients(self, examples: list[Example], targets: int) -> Measures:
        """Gradients of the summed loss of ``examples`` by ``targets``, those of the whole step, however all is cut."""
        self._optimizer.zero_grad()
        measures = Measures()
        for batch in micro_batches(examples, self._budget):
            losses = self._forward(batch)
            (losses.loss_T.sum() / targets).backward()
            measures.add(losses)
            self._paces.training.add(sum(map(len, batch)) * self._ranks.count)
            self._tell_progress("training")
            self._stop.check()
        return measures

    def _settle(self) -> None:
        """Do what the plan wants after the current step. Doing it again, after a crash, changes nothing."""
        loss = self._validate() if self._step in self._plan.evaluations else None
        due = self._step in self._plan.checkpoints or self._ended()
        if due:
            self._paces.exporting.begin()
            self._export(self._plan.checkpoint_now(self._step), loss)
        self._settled = True
        if due:
            self._save()
            self._paces.exporting.add(1)

    def _validate(self) -> float:
        """Evaluate, and tell; the validation loss."""
        self._paces.evaluating.begin()
        self._tell_progress("evaluating", now=True)
        values = self._together(self._evaluate, longest=self._validation.longest).series("eval")
        loss = values["/eval_total_loss"]
        self._reporter.metrics(self._step, values)
        self._reporter.line(f"step {self._step}: validation loss {loss:.4f}")
        if self._best_loss is None or loss < self._best_loss:
            self._best_loss, self._waited = loss, 0
        else:
            self._waited += 1
        if self._ended() and self._step < self._plan.total_steps:
            self._reporter.line(f"ends early: no lower validation loss in the last {self._waited} evaluations")
        self._paces.evaluating.add(0)
        self._paces.evaluating.begin()  # of the next one nothing is done
        return loss

    def _ended(self) -> bool:
        """Whether no step is left, or early stopping wants none."""
        patience = self._spec.patience
        return self._step >= self._plan.total_steps or (patience is not None and self._waited >= patience)

    def _export(self, checkpoint: PlannedCheckpoint, loss: float | None) -> None:
        self._tell_progress("exporting", now=True)
        if self._ranks.is_first:
            directory = self._directory.checkpoint(checkpoint.checkpoint_id)
            export_checkpoint(directory, self._adapted, checkpoint, base_model=self._spec.base_model)
        self._reporter.checkpoint(checkpoint, validation_loss=loss)

    def _evaluate(self) -> Measures:
        share = islice(self._validation.examples(), self._ranks.rank, None, self._ranks.count)
        return evaluate(self._forward, share, budget=self._budget, on_batch=self._evaluated)

    def _evaluated(self, tokens: int) -> None:
        self._paces.evaluating.add(tokens * self._ranks.count)
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
        if not self._ranks.is_first:
            return
        self._paces.saving.begin()
        position = Position(
            self._step, self._settled, self._fingerprint, self._best_loss, self._waited, budget=self._budget
        )
        self._resume_checkpoints.save(position, state_tensors(self._parameters, self._optimizer))
        self._saved_at = time.monotonic()
        self._paces.saving.add(1)

    def _restore(self) -> None:
        found = self._ranks.from_first(lambda: self._resume_checkpoints.load(self._fingerprint))
        if found is None:
            return
        position, tensors = found
        load_state(tensors, self._parameters, self._optimizer)
        self._step, self._settled = position.step, position.settled
        self._best_loss, self._waited = position.best_loss, position.waited
        self._budget = min(self._budget, position.budget or self._budget)

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
            processes=self._ranks.count,
        )
        self._reporter.started(event)
        self._reporter.line(start_summary(event))

    def _tell_progress(self, activity: str, *, now: bool = False) -> None:
        self._watchdog.beat(f"{activity} after step {self._step}")
        event = Progress(
            step=self._step,
            epoch=self._plan.completed_epochs(self._step),
            loss=self._loss,
            tokens_per_second=self._paces.training.rate,
            seconds_left=self._paces.seconds_left(self._step, settled=self._settled),
            activity=activity,
        )
        self._reporter.progress(event, now=now)
