"""The network: crops in, a `Prediction` out. Independent of files, frames and ground truth."""
