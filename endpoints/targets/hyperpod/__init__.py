"""SageMaker HyperPod clusters as places: the inference operator there makes the pods, the portal makes its objects."""
