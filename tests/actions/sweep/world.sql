-- The diary of visits and the list of log orders, with some entries around the day on which it is made.
CREATE TABLE visits (
    reference TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    date TEXT NOT NULL,
    part TEXT NOT NULL CHECK (part IN ('morning', 'afternoon')),
    name TEXT NOT NULL,
    phone TEXT NOT NULL
);
INSERT INTO visits VALUES
    ('V4KMTA', 'a stove', date(today(), '+5 days', 'weekday 3'), 'morning', 'Oriel Banks', '01632 960 751'),
    ('V7PQRB', 'an open fire', date(today(), '+5 days', 'weekday 3'), 'morning', 'Sam Teller', '01632 960 752'),
    ('V9LXNC', 'a stove', date(today(), '+5 days', 'weekday 3'), 'morning', 'Juno Hale', '01632 960 753'),
    ('V2HHWD', 'a range cooker', date(today(), '+6 days', 'weekday 5'), 'afternoon', 'Brook Farm', '01632 960 754');

CREATE TABLE log_orders (
    reference TEXT PRIMARY KEY,
    bags INTEGER NOT NULL,
    date TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    cost TEXT NOT NULL
);
INSERT INTO log_orders VALUES ('L3GRVE', 12, date(today(), '+4 days', 'weekday 2'), '3 Kiln Lane, Brindle', 'Oriel Banks', '£102.00');
