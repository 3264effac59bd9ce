"""STUB, being written."""
from pathlib import Path
from typing import TypeVar
import yaml
from pydantic import BaseModel, ConfigDict
class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
M = TypeVar("M", bound=BaseModel)
def load(path: Path, model: type[M]) -> M:
    return model.model_validate(yaml.safe_load(path.read_text()) or {})
