"""A Flask app that serves the model ``$MODEL`` of the folder ``$MODELS`` with Carafe."""

import os

from flask import Flask

from flask_carafe import Carafe

app = Flask(__name__)
carafe = Carafe(app, url_prefix="")
carafe.serve(os.environ["MODEL"], f"{os.environ['MODELS']}/{os.environ['MODEL']}.joblib")
