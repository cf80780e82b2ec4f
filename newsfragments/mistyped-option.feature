A mistyped option is reported with the usage of its command, and with the option that was probably meant.
