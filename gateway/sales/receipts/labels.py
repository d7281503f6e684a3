"""The labels of printed documents (TIS specification v2.0: receipt labels), and which is which."""

from enum import StrEnum


class ReceiptType(StrEnum):
    """Of what type a receipt is; the word stands on all that is no original (TIS specification v2.0)."""

    NORMAL = "NORMAL"
    COPY = "COPY"
    TRAINING = "TRAINING"
    PROFORMA = "PROFORMA"


class Label(StrEnum):
    """Receipt type and transaction type in two letters; the reports are printed documents too."""

    NORMAL_SALE = "NS"
    NORMAL_CREDIT_NOTE = "NC"
    COPY_SALE = "CS"
    COPY_CREDIT_NOTE = "CC"
    TRAINING_SALE = "TS"
    TRAINING_CREDIT_NOTE = "TC"
    PROFORMA_SALE = "PS"
    X_REPORT = "X"
    Z_REPORT = "Z"
    PLU_REPORT = "PLU"

    @property
    def words(self) -> str:
        """For people: `Copy of a sale`."""
        return _WORDS[self]


_WORDS = {
    Label.NORMAL_SALE: "Sale",
    Label.NORMAL_CREDIT_NOTE: "Credit note",
    Label.COPY_SALE: "Copy of a sale",
    Label.COPY_CREDIT_NOTE: "Copy of a credit note",
    Label.TRAINING_SALE: "Training sale",
    Label.TRAINING_CREDIT_NOTE: "Training credit note",
    Label.PROFORMA_SALE: "Proforma",
    Label.X_REPORT: "X report",
    Label.Z_REPORT: "Z report",
    Label.PLU_REPORT: "PLU report",
}

_LABELS = {
    (ReceiptType.NORMAL, False): Label.NORMAL_SALE,
    (ReceiptType.NORMAL, True): Label.NORMAL_CREDIT_NOTE,
    (ReceiptType.COPY, False): Label.COPY_SALE,
    (ReceiptType.COPY, True): Label.COPY_CREDIT_NOTE,
    (ReceiptType.TRAINING, False): Label.TRAINING_SALE,
    (ReceiptType.TRAINING, True): Label.TRAINING_CREDIT_NOTE,
    (ReceiptType.PROFORMA, False): Label.PROFORMA_SALE,
}

ORIGINALS = (Label.NORMAL_SALE, Label.NORMAL_CREDIT_NOTE)
COPIES = (Label.COPY_SALE, Label.COPY_CREDIT_NOTE)
CREDIT_NOTES = (Label.NORMAL_CREDIT_NOTE, Label.COPY_CREDIT_NOTE, Label.TRAINING_CREDIT_NOTE)


def label_of(type: ReceiptType, *, is_credit_note: bool) -> Label:
    """The label of a document. Raises KeyError for a proforma credit note, which does not exist."""
    return _LABELS[type, is_credit_note]
