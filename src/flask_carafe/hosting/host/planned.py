"""Runtimes whose model has ``predict``: one probe tells what it gives, a :class:`.outputs.Plan` turns each answer into columns."""

from . import dummies, layout, probe
from .outputs import Plan
from .refusal import LoadError
from .runtime import Runtime


class PlannedRuntime(Runtime):
    """``model`` is asked as scikit-learn's estimators are; ``version`` is scikit-learn's, for short cuts that hang on it."""

    model, version, dummies, plan = None, (0, 0), None, None

    def _take_columns(self, columns_file):
        """Whether the inputs are the raw fields behind a list of one-hot columns."""
        if not columns_file:
            return False
        self.dummies = dummies.read(columns_file)
        self.input_build, self.named, self.columns = "dataframe", True, self.dummies.columns()
        return True

    def _plan(self, decoder, meaning):
        if meaning not in ("", "logits", "probabilities"):
            raise LoadError("wrong_option", "outputs must be logits or probabilities, got %r" % meaning)
        if not callable(getattr(self.model, "predict", None)):
            raise LoadError("no_predict", "the model has no predict")
        for rows in (2, 1):
            try:
                make = probe.maker(self, rows)
                self.plan = Plan(self.model, make, self.version, decoder, meaning, rows)
                self.max_batch_rows = None if rows == 2 else 1
                break
            except BaseException as exc:  # the edge round a user's model: the trial will tell what is wrong with it
                self.probe_failure = "%s: %s" % (type(exc).__name__, " ".join(str(exc).split())[:200])
        else:
            self.plan = Plan(self.model, None, self.version, decoder, meaning)
        self.output_words = self.plan.outputs
        self.warnings += self.plan.warnings

    def configure(self, signature):
        """As in :class:`Runtime`; one-hot columns are made from the raw fields."""
        if self.dummies is not None:
            self.builder = self.dummies.builder(signature, self.model)
            return layout.layout_of(signature)
        return Runtime.configure(self, signature)

    def call(self, batch, n):
        """Answer ``n`` rows; a model that must write into its input is given copies from then on."""
        try:
            return self.plan.call(batch, n, self.take)
        except ValueError as exc:
            if "read-only" not in str(exc) or self.builder.writable:
                raise
            self.builder.writable = True
            return self.plan.call(batch, n, self.take)
