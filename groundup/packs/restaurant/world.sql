-- A small world to try the actions on: an empty copy of what the restaurant's own system would hold, with some bookings.
-- It is made once, as world.sqlite, when the assistant is first opened; the actions change that copy, never this file.
-- Its dates follow the day on which it is made, today(), so that there is always a table to cancel.

-- When the kitchen takes orders (opening-hours.md); weekday 0 is Sunday, as in SQLite's strftime('%w').
CREATE TABLE kitchen (weekday INTEGER NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL);
INSERT INTO kitchen VALUES
  (0, '12:00', '17:00'),
  (2, '12:00', '14:30'), (2, '17:30', '21:00'),
  (3, '12:00', '14:30'), (3, '17:30', '21:00'),
  (4, '12:00', '14:30'), (4, '17:30', '21:00'),
  (5, '12:00', '14:30'), (5, '17:30', '21:45'),
  (6, '12:00', '14:30'), (6, '17:30', '21:45');

-- Days with rules of their own whose date moves (reservations.md).
CREATE TABLE special_days (date TEXT PRIMARY KEY, day TEXT NOT NULL);
INSERT INTO special_days VALUES
  ('2027-03-07', 'Mother''s Day'), ('2028-03-26', 'Mother''s Day'),
  ('2029-03-11', 'Mother''s Day'), ('2030-03-31', 'Mother''s Day');

CREATE TABLE bookings (
  reference TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  phone TEXT NOT NULL,
  date TEXT NOT NULL,
  time TEXT NOT NULL,
  guests INTEGER NOT NULL CHECK (guests BETWEEN 1 AND 8),
  place TEXT NOT NULL DEFAULT 'dining room' CHECK (place IN ('dining room', 'garden')),
  card_details TEXT NOT NULL CHECK (card_details IN ('not needed', 'asked for', 'given')),
  status TEXT NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'cancelled'))
);
INSERT INTO bookings (reference, name, phone, date, time, guests, card_details, status) VALUES
  ('H4LLS7', 'Hollis', '01632 960511', date(today(), '+1 day', 'weekday 6'), '19:00', 4, 'given', 'booked'),
  ('P7RYA2', 'Priya', '01632 960512', date(today(), '+2 days', 'weekday 4'), '12:30', 3, 'not needed', 'booked'),
  ('B3YRN8', 'Tessa Byrne', '01632 960513', date(today(), 'weekday 2'), '20:00', 2, 'not needed', 'booked'),
  ('K5ORO6', 'Daniel Okoro', '01632 960514', date(today(), '+1 day', 'weekday 5'), '18:30', 6, 'given', 'booked'),
  ('W9LEN4', 'Lena Whitcombe', '01632 960515', date(today(), '+14 days', 'weekday 3'), '18:00', 2, 'not needed', 'booked'),
  ('M2CUS9', 'Marcus', '01632 960516', date(today(), '+1 day', 'weekday 0'), '13:00', 5, 'given', 'booked'),
  ('F6RAH3', 'Farah', '01632 960517', date(today(), '-11 days'), '19:30', 2, 'given', 'booked'),
  ('V8OLI5', 'Oliver', '01632 960518', date(today(), '+8 days', 'weekday 5'), '19:00', 4, 'given', 'cancelled'),
  ('S4SAM7', 'Sam', '01632 960519', date(today(), 'weekday 2'), '21:00', 6, 'given', 'booked');
-- On the Saturday of next week the dining room is full from 19:30: 63 of 64 seats are taken.
INSERT INTO bookings (reference, name, phone, date, time, guests, card_details) VALUES
  ('A2FUL2', 'Askew', '01632 960521', date(today(), '+8 days', 'weekday 6'), '19:00', 8, 'given'),
  ('A3FUL3', 'Pell', '01632 960522', date(today(), '+8 days', 'weekday 6'), '19:00', 8, 'given'),
  ('A4FUL4', 'Marsh', '01632 960523', date(today(), '+8 days', 'weekday 6'), '19:15', 8, 'given'),
  ('A5FUL5', 'Lind', '01632 960524', date(today(), '+8 days', 'weekday 6'), '19:15', 8, 'given'),
  ('A6FUL6', 'Adeyemi', '01632 960525', date(today(), '+8 days', 'weekday 6'), '19:30', 8, 'given'),
  ('A7FUL7', 'Farah', '01632 960526', date(today(), '+8 days', 'weekday 6'), '19:30', 8, 'given'),
  ('A8FUL8', 'Marcus', '01632 960527', date(today(), '+8 days', 'weekday 6'), '19:30', 8, 'given'),
  ('A9FUL9', 'Lena Whitcombe', '01632 960515', date(today(), '+8 days', 'weekday 6'), '19:00', 7, 'given');

-- The bookings with the minutes of the day between which their seats are taken: 2 hours for up to 4 guests, else 2 hours 30 minutes.
CREATE VIEW seats_taken AS
  SELECT reference, date, place, guests,
    substr(time, 1, 2) * 60 + substr(time, 4, 2) AS starts,
    substr(time, 1, 2) * 60 + substr(time, 4, 2) + CASE WHEN guests <= 4 THEN 120 ELSE 150 END AS ends
  FROM bookings WHERE status = 'booked';

CREATE TABLE dietary_notes (
  reference TEXT PRIMARY KEY,
  booking TEXT NOT NULL REFERENCES bookings (reference),
  note TEXT NOT NULL,
  delete_on TEXT NOT NULL  -- 30 days after the visit (guest-data.md)
);

CREATE TABLE dishes (dish TEXT PRIMARY KEY, price REAL NOT NULL, takeaway INTEGER NOT NULL);
INSERT INTO dishes VALUES
  ('parsnip soup', 7.50, 1), ('mackerel pâté', 9.25, 1), ('goat''s cheese', 8.95, 1),
  ('ham hock terrine', 9.50, 1), ('squid', 9.95, 0),
  ('lamb shoulder', 23.50, 1), ('haddock and chips', 17.95, 1), ('chicken pie', 18.50, 1),
  ('sea trout', 22.75, 0), ('mushroom wellington', 17.50, 1), ('squash gnocchi', 16.25, 1),
  ('rib-eye steak', 27.95, 0), ('chickpea curry', 15.75, 1), ('house burger', 16.50, 1),
  ('portion of chips', 4.50, 1), ('buttered greens', 4.75, 1), ('leaf salad', 4.25, 1),
  ('cauliflower cheese', 5.25, 1), ('toffee pudding', 8.25, 1), ('quince tart', 8.50, 1),
  ('chocolate pot', 7.75, 1), ('poached pear', 7.50, 1), ('cheese board', 11.50, 1),
  ('ice cream', 5.50, 0), ('sorbet', 5.50, 0);

CREATE TABLE takeaway_orders (
  reference TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  phone TEXT NOT NULL,
  date TEXT NOT NULL,
  time TEXT NOT NULL,
  dish TEXT NOT NULL REFERENCES dishes (dish),
  portions INTEGER NOT NULL,
  total TEXT NOT NULL,
  ordered_at TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'ordered' CHECK (status IN ('ordered', 'cancelled'))
);

CREATE TABLE vouchers (
  code TEXT PRIMARY KEY CHECK (length(code) = 12),
  balance REAL NOT NULL,
  valid_until TEXT NOT NULL,
  extended INTEGER NOT NULL DEFAULT 0,
  blocked INTEGER NOT NULL DEFAULT 0
);
INSERT INTO vouchers VALUES
  ('QV7K2M9PX4TC', 50.00, date(today(), '+273 days'), 0, 0),
  ('QV3H8R5WZ6NB', 12.40, date(today(), '+19 days'), 0, 0),
  ('QV9D4T2LJ7GF', 25.00, date(today(), '-16 days'), 0, 0),
  ('QV5X6C8SY3KM', 100.00, date(today(), '-62 days'), 0, 0),
  ('QV2B9N4VQ8RD', 25.00, date(today(), '+61 days'), 1, 0),
  ('QV8P3W7HT5LX', 100.00, date(today(), '+211 days'), 0, 1);

CREATE TABLE lost_reports (
  reference TEXT PRIMARY KEY,
  item TEXT NOT NULL,
  day TEXT NOT NULL,
  place TEXT,
  name TEXT NOT NULL,
  phone TEXT NOT NULL
);
