"""The words on receipts that the law leaves to us, in English and Kiswahili.

What KRA's specification prescribes (titles, totals, the blocks of control unit and system, COPY, TRAINING, PROFORMA,
the notices) stays as it is prescribed, in every language; so do KRA's names for means of payment.
"""

from dataclasses import dataclass
from enum import StrEnum


class Language(StrEnum):
    """ISO 639-1."""

    ENGLISH = "en"
    SWAHILI = "sw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language's words, each named for what it says."""

    goods: str
    service: str
    description: str
    unit_price: str
    quantity: str
    amount: str
    discount: str
    price_reduction: str
    buyer_name: str
    served_by: str
    remark: str
    rate: str
    taxable: str
    all_in_kes: str
    prices_without_vat: str
    check_at_kra: str
    check_at_simulator: str
    slip: str
    reference: str
    date: str
    slip_amount: str
    queued: str
    sending: str
    unknown: str
    refused: str
    cancelled: str
    kra_answered: str
    take_pdf: str
    printed_from_screen: str
    totals: str
    payment: str
    tax_by_rate: str
    qr_code: str
    mail_subject: str
    mail_text: str
    sms_text: str


WORDS = {
    Language.ENGLISH: Words(
        goods="goods",
        service="service",
        description="Description",
        unit_price="Unit price",
        quantity="Quantity",
        amount="Amount",
        discount="Discount",
        price_reduction="Price reduction",
        buyer_name="Buyer name:",
        served_by="Served by:",
        remark="Remark:",
        rate="Rate",
        taxable="Taxable",
        all_in_kes="All amounts in KES",
        prices_without_vat="Prices without VAT",
        check_at_kra="Check it at KRA",
        check_at_simulator="Check it at the simulator",
        slip="PROVISIONAL SLIP",
        reference="Reference:",
        date="Date:",
        slip_amount="AMOUNT (KES)",
        queued="Kept; waits for its turn to be sent to KRA.",
        sending="With KRA. Its answer has not come yet.",
        unknown="Sent to KRA. No answer came; we are asking KRA what it has.",
        refused="Not accepted.",
        cancelled="Withdrawn before it was sent to KRA.",
        kra_answered="KRA's answer:",
        take_pdf="Download as PDF",
        printed_from_screen="Printed from the screen. The receipt itself is the PDF.",
        totals="Totals",
        payment="Payment",
        tax_by_rate="Tax by rate",
        qr_code="QR code of this invoice",
        mail_subject="Your receipt from {seller}: {number}",
        mail_text="Here is your receipt {number} of KES {total} from {seller}. It is attached as a PDF file.\n\n"
        "You can also see it at {link}\n",
        sms_text="{seller}: your receipt {number} of KES {total}: {link}",
    ),
    Language.SWAHILI: Words(
        goods="bidhaa",
        service="huduma",
        description="Maelezo",
        unit_price="Bei ya moja",
        quantity="Idadi",
        amount="Kiasi",
        discount="Punguzo",
        price_reduction="Punguzo la bei",
        buyer_name="Jina la mnunuzi:",
        served_by="Umehudumiwa na:",
        remark="Maelezo:",
        rate="Kiwango",
        taxable="Thamani",
        all_in_kes="Viasi vyote ni kwa KES",
        prices_without_vat="Bei bila VAT",
        check_at_kra="Hakikisha kwa KRA",
        check_at_simulator="Hakikisha kwenye kiigaji",
        slip="HATI YA MUDA",
        reference="Kumbukumbu:",
        date="Tarehe:",
        slip_amount="KIASI (KES)",
        queued="Imehifadhiwa; inasubiri zamu yake ya kutumwa KRA.",
        sending="Iko KRA. Jibu lake bado halijafika.",
        unknown="Ilitumwa KRA. Hakuna jibu lililofika; tunaiuliza KRA ilicho nacho.",
        refused="Haikukubaliwa.",
        cancelled="Iliondolewa kabla ya kutumwa KRA.",
        kra_answered="Jibu la KRA:",
        take_pdf="Pakua PDF",
        printed_from_screen="Imechapishwa kutoka kwenye skrini. Risiti yenyewe ni PDF.",
        totals="Jumla",
        payment="Malipo",
        tax_by_rate="Kodi kwa kiwango",
        qr_code="Msimbo wa QR wa ankara hii",
        mail_subject="Risiti yako kutoka {seller}: {number}",
        mail_text="Hii ni risiti yako {number} ya KES {total} kutoka {seller}. Imeambatishwa kama faili la PDF.\n\n"
        "Unaweza pia kuiona hapa: {link}\n",
        sms_text="{seller}: risiti yako {number} ya KES {total}: {link}",
    ),
}
