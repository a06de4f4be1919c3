"""Which libraries a zygote may import. An import runs code, so a name out of a model file is looked up here first."""

# exact top packages
ALLOWED = frozenset(
    """sklearn numpy scipy pandas joblib cloudpickle skops onnxruntime threadpoolctl PIL pypdf docx2txt xgboost lightgbm catboost
    statsmodels imblearn category_encoders sklearn_pandas narwhals encodings json torch keras h5py""".split()
)
