"""The network: crops in, a `Prediction` out. Nothing here knows of files, frames or ground truth."""
