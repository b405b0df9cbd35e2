"""The calls of the system of document 000, here “the hub”, answered by the portal (document 000, section 2).

A client of that system moves over by changing the address and the key. Bodies and answers have that system's names
(github.com/aws-samples/llm_model_hub, `backend/model/data_model.py`); what it means is the portal's own.
"""

# Each is a POST under /v1, beside the gateway's own paths.
HUB = ("deploy_endpoint", "delete_endpoint", "get_endpoint_status", "list_endpoints", "list_clusters", "get_cluster",
       "list_cluster_nodes")
