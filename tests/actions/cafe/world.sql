-- The bookings of an invented café.
CREATE TABLE bookings (
    reference TEXT PRIMARY KEY, day TEXT NOT NULL, at TEXT NOT NULL, guests INTEGER NOT NULL,
    holder TEXT NOT NULL, note TEXT
);
CREATE TABLE closed (day TEXT PRIMARY KEY);
CREATE TABLE vouchers (code TEXT PRIMARY KEY, pounds REAL NOT NULL, holder TEXT NOT NULL);
INSERT INTO bookings VALUES ('KQM274', '2026-12-05', '19:00', 2, 'Ines Warrow', NULL);
INSERT INTO closed VALUES ('2026-12-25');
INSERT INTO vouchers VALUES ('ABC123', 20.0, 'Ines Warrow');
