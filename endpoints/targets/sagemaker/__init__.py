"""SageMaker endpoints as a place: a model, an endpoint configuration and an endpoint for each of ours."""
