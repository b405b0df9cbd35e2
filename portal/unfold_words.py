"""Words that unfold's pages show. It ships no catalogue, so they are marked here and stand in ours."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext_lazy

LISTS = (
    _("Select record"), _("Select action"), _("Select action to run"), _("Select all rows"), _("Select value"),
    _("Expand row"), _("More actions"), _("Filters"), _("Apply Filters"), _("Reset filters"), _("Previous"),
    _("No data"), _("No results found"), _("Not enough data."), _("Record picture"), _("Loading more results..."),
    _("This page yielded into no results. Create a new item or reset your filters."),
)
FILTERS = (_("Value"), _("To"), _("Date"), _("Date from"), _("Date to"))
FORMS = (
    _("Add row"), _("Add new item"), _("General"), _("True"), _("False"), _("Choose file to upload"), _("Image preview"),
    _("Click to download"), _("This item will be deleted."), _("Click to cancel"), _("Toggle password visibility"),
    _("After you've created a user, you’ll be able to edit more user options."),
    _("Raw passwords are not stored, so there is no way to see this user’s password, but you can change the password using "
      '<a href="{}" class="text-primary-600 dark:text-primary-500">this form</a>.'),
)
FRAME = (
    _("Go back"), _("Return to site"), _("All applications"), _("Search apps and models..."), _("Type to search"),
    _("Recent searches"), _("No recent searches"), _("No results matching your query"), _("Light"), _("Dark"), _("System"),
    _("Welcome back to"), _("Forgotten your password or username?"),
    _("You have been successfully logged out from the administration"),
    # Templates of unfold do not trim the sentences that they count, so the blanks are part of the message.
    ngettext_lazy("\n                Found %(counter)s result in %(time)s seconds\n            ",
                  "\n                Found %(counter)s results in %(time)s seconds\n            ", "counter"),
)
TABLES_OF_FILES = (
    _("Select format"), _("View traceback"), _("Row"), _("This exporter will export the following fields"),
    _("This exporter will export the following fields: "),
    ngettext_lazy("\n                    Export %(len)s selected item.\n                ",
                  "\n                    Export %(len)s selected items.\n                ", "len"),
)
