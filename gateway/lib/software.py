"""What this software is called where it must name itself: on reports and in files (TIS specification v2.0)."""

NAME = "Revpay Connect eTIMS Gateway"
VERSION = "0.1.0"
