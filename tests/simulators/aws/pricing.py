"""The price list of SageMaker, as small as tests put it in.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-list-query-api.html says how products and terms are
nested; the names of SageMaker's attributes are from memory, not verified on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.messages import Call, Params
from tests.simulators.aws.sagemaker.lists import page

MATCHES: dict[str, Callable[[str, str], bool]] = {
    "TERM_MATCH": lambda value, wanted: value == wanted, "EQUALS": lambda value, wanted: value == wanted,
    "CONTAINS": lambda value, wanted: wanted in value, "ANY_OF": lambda value, wanted: value in wanted.split(","),
    "NONE_OF": lambda value, wanted: value not in wanted.split(","),
}  # fmt: skip


class Pricing:
    def __init__(self) -> None:
        self.products: list[Params] = []

    def reset(self) -> None:
        self.products.clear()

    def put(self, instance_type: str, usd_per_hour: str, region: str = "us-east-1", component: str = "Hosting") -> None:
        attributes = {"servicecode": "AmazonSageMaker", "instanceName": instance_type, "regionCode": region,
                      "component": component, "locationType": "AWS Region", "operation": "RunInstance"}  # fmt: skip
        sku = f"SKU{len(self.products):013}"
        rate = f"{sku}.JRTCKXETXF"
        price = {"unit": "Hrs", "rateCode": f"{rate}.6YS6EN2CT7", "pricePerUnit": {"USD": usd_per_hour}, "beginRange": "0",
                 "endRange": "Inf"}  # fmt: skip
        self.products.append({
            "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": sku}, "serviceCode": "AmazonSageMaker",
            "terms": {"OnDemand": {rate: {"priceDimensions": {f"{rate}.6YS6EN2CT7": price}, "sku": sku}}},
        })  # fmt: skip

    def answer(self, call: Call) -> Params | None:
        """None: not played here."""
        if call.operation != "GetProducts":
            return None
        if call.params["ServiceCode"] != "AmazonSageMaker":
            raise AwsFault("InvalidParameterException", "Invalid service code")
        kept, more = page(call.params, [product for product in self.products if _wanted(product, call.params)], 100)
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product) for product in kept], **more}


def _wanted(product: Params, asked: Params) -> bool:
    attributes = product["product"]["attributes"]
    return all(each["Field"] in attributes and MATCHES[each["Type"]](attributes[each["Field"]], each["Value"])
               for each in asked.get("Filters", []))  # fmt: skip
