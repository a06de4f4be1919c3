"""Fitted Python objects: scikit-learn from pickle, joblib, cloudpickle and skops, and whatever else has ``predict``."""

from . import chain, describe, opening, tuning, wrappers
from .fields import column, final
from .planned import PlannedRuntime
from .refusal import LoadError
from .runtime import version_of, version_tuple

LIBRARIES = (("scikit-learn", "sklearn"), ("numpy", "numpy"), ("scipy", "scipy"), ("pandas", "pandas"), ("joblib", "joblib"))
PACKAGES = {"sklearn": "scikit-learn", "__main__": "Python object", "carafe_code": "Python object"}


class ObjectRuntime(PlannedRuntime):
    """One object or a chain of them; what it takes and gives is read off the objects and one probe."""

    def __init__(self, request, files, options):
        PlannedRuntime.__init__(self)
        tuning.before_loading()
        objects = [opening.read_object(file) for file in files]
        way_out = wrappers.bare(objects[-1]) if objects else ""
        if way_out:
            raise LoadError("bare_booster", "it holds a bare Booster, which is not asked as a model is: save it with %s and serve that" % way_out)
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
        if self._take_columns(columns_file):
            return
        self.input_build, self.named, self.columns = describe.describe_input(first)
        names = chain.input_names(first, self.model)
        if not self.named and names and (len(names) == len(self.columns) or not self.columns) and self.input_build == "array":
            self.columns = self.columns or [column() for _ in names]
            for one, name in zip(self.columns, names):
                one["name"] = name
            self.named = True
        if not self.columns:
            self.warnings.append("the model does not say how many inputs it takes: name them with --fields")
