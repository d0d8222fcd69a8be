-- The world in which Brackenmere Bank's actions are tried, seeded around the day on which it is made
-- (today()). All invented.

CREATE TABLE customers (
    customer TEXT PRIMARY KEY, name TEXT, role TEXT,    -- holder, or helper under a Third-Party Mandate
    address TEXT, address_check INTEGER DEFAULT 0       -- 1: changed a short time ago
);
INSERT INTO customers VALUES
    ('C1001', 'Grace Ashdown', 'holder', '9 Mill Lane, Hethersby', 0),
    ('C1002', 'Tom Lister', 'holder', '31 Harbour Row, Kelsby Quay', 0),
    ('C1003', 'Ivy Lister', 'holder', '31 Harbour Row, Kelsby Quay', 0),
    ('C1004', 'Ralph Moss', 'helper', '2 Weir Street, Brackenmere', 0),
    ('C1005', 'Nora Pike', 'holder', '17 Station Parade, Orrandale', 1);

-- The highest limits of the accounts (facts.toml), in pounds a day.
CREATE TABLE accounts (account TEXT PRIMARY KEY, cash_machine REAL, card_spending REAL);
INSERT INTO accounts VALUES
    ('Everyday Account', 300, 5000), ('Plus Account', 500, 5000), ('Basic Account', 300, 5000),
    ('Young Account', 100, 200);

CREATE TABLE cards (
    card TEXT, customer TEXT, account TEXT,             -- the card by its last four digits
    state TEXT DEFAULT 'active',                        -- or frozen, cancelled
    cash_machine REAL, card_spending REAL, contactless REAL DEFAULT 100,
    PRIMARY KEY (card, customer)
);
INSERT INTO cards (card, customer, account, state, cash_machine, card_spending) VALUES
    ('4417', 'C1001', 'Everyday Account', 'active', 300, 5000),
    ('8052', 'C1001', 'Plus Account', 'active', 500, 5000),
    ('6630', 'C1001', 'Everyday Account', 'frozen', 300, 5000),
    ('1298', 'C1001', 'Everyday Account', 'cancelled', 300, 5000),
    ('5571', 'C1002', 'Plus Account', 'active', 500, 5000),
    ('9304', 'C1002', 'Basic Account', 'frozen', 200, 1000),
    ('7146', 'C1003', 'Young Account', 'active', 100, 200),
    ('3385', 'C1004', 'Everyday Account', 'active', 300, 5000),
    ('2769', 'C1005', 'Everyday Account', 'active', 300, 5000);

CREATE TABLE payments (
    payment INTEGER PRIMARY KEY, customer TEXT, shop TEXT, amount REAL, paid TEXT,
    due TEXT,                                           -- the day on which the goods should have arrived
    kind TEXT DEFAULT 'card payment',                   -- or cash withdrawal, bank transfer
    state TEXT DEFAULT 'paid'                           -- or held, disputed
);
INSERT INTO payments VALUES
    (1, 'C1001', 'Fenwick Shoes', 64.50, date(today(), '-19 days'), NULL, 'card payment', 'paid'),
    (2, 'C1001', 'Orchard Sofas', 420.00, date(today(), '-134 days'), date(today(), '-82 days'), 'card payment', 'paid'),
    (3, 'C1001', 'Quill Magazine', 9.99, date(today(), '-7 days'), NULL, 'card payment', 'paid'),
    (4, 'C1001', 'Ridge Lamps', 82.00, date(today(), '-152 days'), NULL, 'card payment', 'paid'),
    (5, 'C1001', 'Dale Petrol', 120.00, date(today(), '-2 days'), NULL, 'card payment', 'held'),
    (6, 'C1001', 'Cash machine, Market Place', 180.00, date(today(), '-10 days'), NULL, 'cash withdrawal', 'paid'),
    (7, 'C1001', 'Tarn Plumbing', 240.00, date(today(), '-13 days'), NULL, 'bank transfer', 'paid'),
    (8, 'C1001', 'Lisbon Grill', 37.00, date(today(), '-15 days'), NULL, 'card payment', 'disputed'),
    (9, 'C1001', 'Lark Hairdresser', 42.00, date(today(), '-11 days'), NULL, 'card payment', 'paid'),
    (10, 'C1001', 'Beck Coats', 71.00, date(today(), '-26 days'), date(today(), '-16 days'), 'card payment', 'paid'),
    (11, 'C1002', 'Harbour Books', 350.00, date(today(), '-21 days'), NULL, 'card payment', 'paid'),
    (12, 'C1005', 'Moor Bikes', 640.00, date(today(), '-9 days'), NULL, 'card payment', 'paid');

CREATE TABLE direct_debits (
    debit INTEGER PRIMARY KEY, customer TEXT, firm TEXT, due TEXT, state TEXT DEFAULT 'active'
);
INSERT INTO direct_debits VALUES
    (1, 'C1001', 'Senby Energy', date(today(), '+14 days'), 'active'),
    (2, 'C1001', 'Weir Gym', today(), 'active'),
    (3, 'C1001', 'Aldwater Insurance', date(today(), '+27 days'), 'active'),
    (4, 'C1001', 'Dale Phones', date(today(), '+6 days', 'weekday 1'), 'active'),
    (5, 'C1002', 'Quay Water', date(today(), '+17 days'), 'active');

-- When the branches are open; 0 is Sunday.
CREATE TABLE opening_hours (branch TEXT, weekdays TEXT, opens TEXT, closes TEXT, last_day TEXT DEFAULT '9999-12-31');
INSERT INTO opening_hours VALUES
    ('Brackenmere', '12345', '09:30', '16:30', '9999-12-31'), ('Brackenmere', '6', '09:30', '13:00', '9999-12-31'),
    ('Hethersby', '12345', '09:30', '16:30', '9999-12-31'), ('Hethersby', '6', '09:30', '13:00', '9999-12-31'),
    ('Kelsby Quay', '1245', '09:30', '15:30', '9999-12-31'), ('Orrandale', '12345', '10:00', '15:00', '9999-12-31'),
    ('Tarrowby', '24', '10:00', '14:00', '2027-02-25');
CREATE TABLE public_holidays (day TEXT PRIMARY KEY);
INSERT INTO public_holidays VALUES
    ('2026-12-25'), ('2026-12-28'), ('2027-01-01'), ('2027-03-26'), ('2027-03-29'), ('2027-05-03'),
    ('2027-05-31'), ('2027-08-30'), ('2027-12-27'), ('2027-12-28');

CREATE TABLE appointments (reference TEXT, branch TEXT, day TEXT, time TEXT, subject TEXT, name TEXT);
INSERT INTO appointments VALUES ('B7K2MD', 'Hethersby', date(today(), '+7 days', 'weekday 2'), '10:00', 'a loan', 'Tom Lister');

-- What has been asked for in conversations.
CREATE TABLE disputes (reference TEXT, payment INTEGER, reason TEXT, day TEXT);
CREATE TABLE new_cards (reference TEXT, customer TEXT, card TEXT, state TEXT, day TEXT);
INSERT INTO new_cards VALUES ('B3X9QW', 'C1002', '5571', 'to send', date(today(), '-2 days'));
CREATE TABLE addresses_before (reference TEXT, customer TEXT, address TEXT, address_check INTEGER);
