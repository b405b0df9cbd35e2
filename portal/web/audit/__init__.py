"""The audit: who changed what, before and after. It is read here and changed nowhere."""
