"""Instance types of AWS and what they cost."""

from .fitting import fitting
from .prices import Cost, PriceBook, hourly_cost, money, no_price, price_book, read_book
from .types import InstanceType, all_types, instance_type

__all__ = ["Cost", "InstanceType", "PriceBook", "all_types", "fitting", "hourly_cost", "instance_type", "money", "no_price",
           "price_book", "read_book"]
