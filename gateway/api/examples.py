"""The bodies that the API reference offers to try, and what comes back. They fit what `make demo` sets up."""

from typing import Any

SALE: dict[str, Any] = {
    "reference": "POS-1",
    "issued_at": "2026-11-20T09:30:00+03:00",
    "payment_method": "mobile_money",
    "lines": [{"item_code": "SUGAR-BROWN-1KG", "quantity": 2, "unit_price": "168.00"}],
}
CREDIT_NOTE: dict[str, Any] = {
    "reference": "CN-1",
    "reason": "damaged",
    "received_by": "Achieng Otieno",
    "lines": [{"line": 1, "quantity": 1}],
    "goods_returned": True,
}
_ITEMS: dict[str, Any] = {
    "items": [
        {
            "code": "JAM-300G",
            "name": "Mango jam 300 g",
            "item_class": "5016150900",
            "tax_type": "B",
            "packaging_unit": "JR",
            "quantity_unit": "U",
            "price": "280.00",
        }
    ]
}

# By operation: the body of a request
BODIES: dict[str, dict[str, Any]] = {
    "send_receipt": {"channel": "mail", "to": "buyer@example.com"},
    "begin_receipt_batch": {"day": "2026-11-20", "branch": "00"},
    "sync_items": _ITEMS,
    "sync_items_short": _ITEMS,
    "import_items": {},
    "register_customer": {"number": "C-1", "pin": "A012345678Z", "name": "Example Buyer Ltd"},
    "register_user": {"user_id": "wanjiku", "name": "Wanjiku Kamau"},
    "register_insurer": {"code": "NHIF", "name": "Health Fund", "rate": 20},
    "replace_item": {"name": "Mango jam 300 g", "item_class": "5016150900", "packaging_unit": "JR", "price": "290.00"},
    "change_item": {"price": "290.00"},
    "open_stock": {
        "reference": "OPEN-1",
        "branch": "00",
        "lines": [{"item_code": "SUGAR-BROWN-1KG", "quantity": "120", "unit_price": "168.00"}],
    },
    "adjust_stock": {
        "reference": "BROKEN-1",
        "branch": "00",
        "reason": "discarded_out",
        "lines": [{"item_code": "SUGAR-BROWN-1KG", "quantity": 2}],
    },
    "transfer_stock": {
        "reference": "MOVE-1",
        "from_branch": "00",
        "to_branch": "01",
        "lines": [{"item_code": "SUGAR-BROWN-1KG", "quantity": 10}],
    },
    "produce": {"reference": "MAKE-1", "branch": "00", "item_code": "GIFT", "quantity": 4},
    "set_recipe": {"components": [{"item_code": "SUGAR-BROWN-1KG", "quantity": "0.5"}]},
    "set_stock_policy": {"allow_negative_stock": False},
    "repair_drift": {"branch": "00", "item_code": "SUGAR-BROWN-1KG", "difference": "-3", "stands": "ours"},
    "take_z_report": {"branch": "00"},
    "move_cash": {"reference": "FLOAT-1", "branch": "00", "kind": "opening", "amount": "2000.00"},
    "export_journal": {"first_day": "2026-11-01", "last_day": "2026-11-30", "format": "csv"},
    "set_day_end": {"automatic": True, "hour": 0},
    "post_bill": {
        "reference": "BILL-204",
        "supplier_pin": "P000000101S",
        "invoice_number": 1,
        "amount": "29000.00",
        "dated_on": "2026-11-20",
    },
    "declare_purchase": {
        "reference": "BUY-17",
        "supplier_name": "Wanjiru's farm",
        "purchased_on": "2026-11-20",
        "lines": [{"item_code": "SUGAR-BROWN-1KG", "quantity": 20, "unit_price": "120.00"}],
    },
    "accept_purchase": {
        "branch": "00",
        "lines": [{"line": 1, "item_code": "SUGAR-BROWN-1KG", "factor": 50}],
    },
    "reject_purchase": {"remark": "Not ours"},
    "approve_import": {"item_code": "SUGAR-BROWN-1KG", "branch": "00", "factor": 10},
    "reject_import": {"item_code": "SUGAR-BROWN-1KG"},
    "activate_device": {},
    "enter_key": {
        "key": "0A1B2C3D4E5F60718293A4B5C6D7E8F9",
        "control_unit": "KRACU0100000001",
        "machine_code": "WIS01006230",
        "last_number": 0,
    },
    "add_device": {"serial": "BARAKA-OSCU-3", "branch": {"code": "01", "name": "Westlands"}},
    "switch_environment": {"environment": "production"},
    "test_connectivity": {},
    "replace_device": {"serial": "BARAKA-OSCU-2"},
    "retire_device": {"reason": "the shop moved"},
    "onboard": {
        "company": {"pin": "P051000101A", "name": "Baraka Stores Ltd", "email": "owner@example.com"},
        "branch": {"code": "00", "name": "Head office", "address": "Moi Avenue 12", "city": "Nairobi"},
        "device": {"serial": "BARAKA-OSCU-1", "device_type": "oscu"},
        "environment": "sandbox",
    },
    "set_company_status": {"status": "suspended", "reason": "The subscription is three months behind."},
    "add_branch": {"code": "01", "name": "Westlands", "address": "Waiyaki Way 7", "city": "Nairobi"},
    "change_branch": {"name": "Westlands Mall", "bottom_message": "Asante, karibu tena"},
    "make_key": {"role": "cashier", "name": "Till 3"},
    "rotate_key": {"overlap_seconds": 3600},
    "change_member": {"role": "manager"},
    "allow_late_credit": {
        "sale": "034e61f8-8a7e-4b9f-a258-70d6758a0c5f",
        "reason": "The court decided on 3 November 2026 that the goods go back.",
    },
    "invite": {"email": "kim@amani.example", "name": "Kim Otieno", "role": "accountant"},
}

INVOICE: dict[str, Any] = {
    "id": "034e61f8-8a7e-4b9f-a258-70d6758a0c5f",
    "reference": "POS-1",
    "status": "signed",
    "kind": "sale",
    "device": "92bc00f9-8fed-4bd5-890a-91dc14ea384c",
    "environment": "sandbox",
    "revision": 1,
    "issued_at": "2026-11-20T06:30:00Z",
    "accepted_at": "2026-11-20T06:30:02.616433Z",
    "number": 1,
    "receipt": {
        "number": 1,
        "total_number": 1,
        "signature": "LEAYX4BVZOWNL5IV",
        "internal_data": "OX3HIKBBO2A5KQXXKJO24744H4",
        "signed_at": "2026-11-20T06:30:02Z",
        "control_unit": "SIMCU0000000001",
        "machine_code": "SIM00000001",
        "cu_invoice_number": "SIMCU0000000001/1",
        "qr_url": "http://127.0.0.1:9000/common/link/etims/receipt/indexEtimsReceiptData"
        "?Data=P051234567X00LEAYX4BVZOWNL5IV",
        "recovered": False,
        "simulated": True,
        "url": "/receipts/034e61f88a7e4b9fa25870d6758a0c5fd39563b0d0a244695d65ab2d92e54619/",
    },
    "totals": {
        "amount": "336.00",
        "tax": "46.34",
        "net": "289.66",
        "by_tax_type": {"B": {"net": "289.66", "tax": "46.34", "amount": "336.00"}},
    },
    "original": None,
    "credit": None,
    "credit_notes": [],
    "credited": "0.00",
    "left": "336.00",
    "lines": [
        {
            "line": 1,
            "item_code": "SUGAR-BROWN-1KG",
            "kra_code": "KE2BGU0000004",
            "item_class": "5016150302",
            "name": "Brown sugar 1 kg",
            "product_type": "2",
            "packaging_unit": "BG",
            "quantity_unit": "U",
            "barcode": None,
            "quantity": "2",
            "unit_price": "168.00",
            "supply": "336.00",
            "discount_rate": "0.00",
            "discount": "0.00",
            "tax_type": "B",
            "net": "289.66",
            "taxable": "289.66",
            "tax": "46.34",
            "total": "336.00",
        }
    ],
    "buyer": {"pin": None, "name": None},
    "payments": [{"method": "mobile_money", "amount": "336.00"}],
    "problem": None,
    "waiting": None,
}
WAITING: dict[str, Any] = {
    **INVOICE,
    "status": "queued",
    "number": None,
    "receipt": None,
    "waiting": {"position": 1, "reason": "Waiting for its turn to be sent to KRA."},
}
REFUSED: dict[str, Any] = {
    **INVOICE,
    "status": "refused",
    "number": None,
    "receipt": None,
    "problem": {
        "code": "refused_by_kra",
        "detail": "KRA says that a part of the document is missing or written wrongly. Correct it and send it again.",
        "fields": [],
        "kra": {"code": "910", "message": "Request parameter error"},
    },
}
WITHDRAWN: dict[str, Any] = {**INVOICE, "status": "cancelled", "number": None, "receipt": None}

SIGNED_NOTE: dict[str, Any] = {
    **INVOICE,
    "id": "2f1c7a50-55f4-4f0e-8a8b-0a61f0c6d0b3",
    "reference": "CN-1",
    "kind": "credit_note",
    "number": 2,
    "totals": {
        "amount": "168.00",
        "tax": "23.17",
        "net": "144.83",
        "by_tax_type": {"B": {"net": "144.83", "tax": "23.17", "amount": "168.00"}},
    },
    "original": {"id": INVOICE["id"], "reference": "POS-1", "number": 1},
    "credit": {"reason": "damaged", "remark": None, "received_by": "Achieng Otieno", "warnings": []},
    "credited": None,
    "left": None,
    "lines": [
        {
            **INVOICE["lines"][0],
            "original_line": 1,
            "quantity": "1",
            "supply": "168.00",
            "net": "144.83",
            "taxable": "144.83",
            "tax": "23.17",
            "total": "168.00",
        }
    ],
    "payments": [{"method": "mobile_money", "amount": "168.00"}],
}
CREDITS: dict[str, Any] = {
    "credit_notes": [SIGNED_NOTE],
    "next": None,
    "credited": {"amount": "168.00", "tax": "23.17"},
    "left": {
        "amount": "168.00",
        "tax": "23.17",
        "by_tax_type": {"B": {"amount": "168.00", "tax": "23.17"}},
        "lines": [
            {
                "line": 1,
                "item_code": "SUGAR-BROWN-1KG",
                "name": "Brown sugar 1 kg",
                "quantity": "1",
                "amount": "168.00",
                "tax": "23.17",
            }
        ],
    },
}

# By operation: the document of the answer 200
BATCH: dict[str, Any] = {
    "id": "5a1d6c1e-0f3b-4f0e-9c55-1f0b8e6f7a21",
    "day": "2026-11-20",
    "branch": "00",
    "paper": "80mm",
    "language": "en",
    "status": "done",
    "problem": None,
    "documents_total": 41,
    "documents_done": 41,
    "file_url": "/api/receipts/batches/5a1d6c1e-0f3b-4f0e-9c55-1f0b8e6f7a21/file/",
    "created_at": "2026-11-21T05:00:00.204118Z",
    "finished_at": "2026-11-21T05:00:01.911745Z",
}
ANSWERS: dict[str, dict[str, Any]] = {
    "list_invoices": {"invoices": [INVOICE], "next": None},
    "list_receipt_batches": {"batches": [BATCH], "next": None},
}
