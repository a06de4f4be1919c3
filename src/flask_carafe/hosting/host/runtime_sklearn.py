"""Fitted Python objects: scikit-learn from pickle, joblib, cloudpickle and skops, and whatever else has ``predict``."""

from . import chain, describe, dummies, layout, opening, probe, tuning
from .fields import column, final
from .outputs import Plan
from .refusal import LoadError
from .runtime import Runtime, version_of, version_tuple

LIBRARIES = (("scikit-learn", "sklearn"), ("numpy", "numpy"), ("scipy", "scipy"), ("pandas", "pandas"), ("joblib", "joblib"))
PACKAGES = {"sklearn": "scikit-learn", "__main__": "Python object", "carafe_code": "Python object"}


class ObjectRuntime(Runtime):
    """One object or a chain of them; what it takes and gives is read off the objects and one probe."""

    def __init__(self, request, files, options):
        Runtime.__init__(self)
        tuning.before_loading()
        objects = [opening.read_object(file) for file in files]
        names = [file.get("name") or file["path"].rsplit("/", 1)[-1] for file in files]
        self.model, first, decoder, warnings = chain.assemble(objects, names)
        self.warnings += warnings
        tuning.after_loading(objects, int(options.get("threads") or 1))
        self.estimator = chain.chain_name(self.model)
        self._name_libraries(objects)
        self._describe_input(first, request.get("columns"))
        self._plan(decoder, str(options.get("outputs") or ""))

    def _name_libraries(self, objects):
        package = type(final(objects[-1])).__module__.split(".")[0]
        self.name = PACKAGES.get(package, package)
        self.libraries = {label: version_of(module) for label, module in LIBRARIES if version_of(module)}
        for one in objects:
            package = type(one).__module__.split(".")[0]
            if package not in PACKAGES and version_of(package):
                self.libraries[package] = version_of(package)
        self.version = version_tuple(version_of("sklearn", "0.0"))

    def _describe_input(self, first, columns_file):
        if columns_file:
            self.dummies = dummies.read(columns_file)
            self.input_build, self.named, self.columns = "dataframe", True, self.dummies.columns()
            return
        self.dummies = None
        self.input_build, self.named, self.columns = describe.describe_input(first)
        names = chain.input_names(first, self.model)
        if not self.named and names and (len(names) == len(self.columns) or not self.columns) and self.input_build == "array":
            self.columns = self.columns or [column() for _ in names]
            for one, name in zip(self.columns, names):
                one["name"] = name
            self.named = True
        if not self.columns:
            self.warnings.append("the model does not say how many inputs it takes: name them with --fields")

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

