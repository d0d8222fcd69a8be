-- The world in which Larkfell Air's actions are tried: flights from November 2026 to October 2027,
-- some bookings with the names of the pack's stories. All invented. A booking is one flight.

CREATE TABLE timetable (
    flight TEXT, departs TEXT, origin TEXT, destination TEXT, minutes INTEGER,
    weekdays TEXT,                      -- 0 is Sunday
    first_day TEXT, last_day TEXT, fare_group TEXT
);
INSERT INTO timetable VALUES
    ('LFA201', '07:00', 'Thornmere', 'Castle Dorran', 55, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA202', '08:30', 'Castle Dorran', 'Thornmere', 55, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA203', '10:30', 'Thornmere', 'Castle Dorran', 55, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA204', '12:00', 'Castle Dorran', 'Thornmere', 55, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA205', '14:30', 'Thornmere', 'Castle Dorran', 55, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA206', '16:00', 'Castle Dorran', 'Thornmere', 55, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA207', '18:00', 'Thornmere', 'Castle Dorran', 55, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA208', '19:30', 'Castle Dorran', 'Thornmere', 55, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA301', '07:30', 'Thornmere', 'Port Hallan', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA302', '09:20', 'Port Hallan', 'Thornmere', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA303', '12:30', 'Thornmere', 'Port Hallan', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA304', '14:20', 'Port Hallan', 'Thornmere', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA305', '17:30', 'Thornmere', 'Port Hallan', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA306', '19:20', 'Port Hallan', 'Thornmere', 65, '0123456', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA401', '08:00', 'Thornmere', 'Ellerwick', 70, '012345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA402', '09:50', 'Ellerwick', 'Thornmere', 70, '012345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA403', '16:30', 'Thornmere', 'Ellerwick', 70, '012345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA404', '18:20', 'Ellerwick', 'Thornmere', 70, '012345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA501', '11:00', 'Castle Dorran', 'Port Hallan', 45, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA502', '12:30', 'Port Hallan', 'Castle Dorran', 45, '12345', '2026-11-01', '2027-10-30', 'mainland'),
    ('LFA601', '07:15', 'Thornmere', 'Skelby', 50, '012345', '2027-03-28', '2027-10-30', 'mainland'),
    ('LFA602', '08:40', 'Skelby', 'Thornmere', 50, '012345', '2027-03-28', '2027-10-30', 'mainland'),
    ('LFA603', '17:40', 'Thornmere', 'Skelby', 50, '012345', '2027-03-28', '2027-10-30', 'mainland'),
    ('LFA604', '19:05', 'Skelby', 'Thornmere', 50, '012345', '2027-03-28', '2027-10-30', 'mainland'),
    ('LFA701', '10:20', 'Thornmere', 'Saint-Orvain', 95, '36', '2027-05-01', '2027-09-25', 'abroad'),
    ('LFA702', '13:45', 'Saint-Orvain', 'Thornmere', 95, '36', '2027-05-01', '2027-09-25', 'abroad'),
    ('LFA801', '08:00', 'Port Hallan', 'Isle of Venna', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA802', '08:40', 'Isle of Venna', 'Port Hallan', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA803', '10:00', 'Port Hallan', 'Isle of Venna', 20, '0123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA804', '10:40', 'Isle of Venna', 'Port Hallan', 20, '0123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA805', '12:00', 'Port Hallan', 'Isle of Venna', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA806', '12:40', 'Isle of Venna', 'Port Hallan', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA807', '14:00', 'Port Hallan', 'Isle of Venna', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA808', '14:40', 'Isle of Venna', 'Port Hallan', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA809', '16:00', 'Port Hallan', 'Isle of Venna', 20, '0123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA810', '16:40', 'Isle of Venna', 'Port Hallan', 20, '0123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA811', '18:00', 'Port Hallan', 'Isle of Venna', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA812', '18:40', 'Isle of Venna', 'Port Hallan', 20, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA901', '09:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA902', '09:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA903', '13:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA904', '13:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA905', '17:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', '2026-11-01', '2027-10-30', 'island'),
    ('LFA906', '17:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', '2026-11-01', '2027-10-30', 'island');

-- The lowest Light fare of a group of routes, and what Plus and Flex cost more (facts.toml, fares).
CREATE TABLE fares (fare_group TEXT, fare TEXT, lowest REAL, more REAL);
INSERT INTO fares VALUES
    ('mainland', 'Light', 39, 0), ('mainland', 'Plus', 39, 23), ('mainland', 'Flex', 39, 66),
    ('island', 'Light', 27, 0), ('island', 'Plus', 27, 16), ('island', 'Flex', 27, 39),
    ('abroad', 'Light', 59, 0), ('abroad', 'Plus', 59, 25), ('abroad', 'Flex', 59, 70);

CREATE TABLE flights (
    flight TEXT, day TEXT, departs TEXT, origin TEXT, destination TEXT, fare_group TEXT,
    light REAL,                         -- the Light fare of the day, for one adult
    seats INTEGER CHECK (seats >= 0),   -- free ones
    state TEXT DEFAULT 'planned',       -- or cancelled, moved, weather notice, flown
    minutes_moved INTEGER DEFAULT 0,
    minutes_late INTEGER DEFAULT 0,     -- at arrival, of a flight that is flown
    cause TEXT DEFAULT '',
    PRIMARY KEY (flight, day)
);
WITH RECURSIVE days (day) AS (
    SELECT '2026-11-01' UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < '2027-10-30'
)
INSERT INTO flights (flight, day, departs, origin, destination, fare_group, light, seats)
SELECT flight, day, departs, origin, destination, fare_group,
       lowest + 6 * ((CAST(strftime('%j', day) AS INTEGER) * 3 + CAST(substr(flight, 4) AS INTEGER)) % 4),
       4 + (CAST(strftime('%j', day) AS INTEGER) * 5 + CAST(substr(flight, 4) AS INTEGER)) % 13
FROM days JOIN timetable ON instr(weekdays, strftime('%w', day)) AND day BETWEEN first_day AND last_day
JOIN fares USING (fare_group)
WHERE fare = 'Light' AND strftime('%m-%d', day) <> '12-25';
INSERT INTO flights (flight, day, departs, origin, destination, fare_group, light, seats)
VALUES ('LFA203', '2020-06-10', '10:30', 'Thornmere', 'Castle Dorran', 'mainland', 39, 0);

UPDATE flights SET state = 'cancelled', cause = 'a shortage of crew' WHERE flight = 'LFA207' AND day = '2026-12-04';
UPDATE flights SET state = 'moved', minutes_moved = 150 WHERE flight = 'LFA403' AND day = '2026-12-09';
UPDATE flights SET state = 'moved', minutes_moved = 45 WHERE flight = 'LFA203' AND day = '2026-12-16';
UPDATE flights SET state = 'weather notice', cause = 'a storm' WHERE destination = 'Port Hallan' AND day = '2026-12-07';
UPDATE flights SET seats = 0 WHERE destination = 'Port Hallan' AND origin = 'Thornmere' AND day = '2026-12-19';
UPDATE flights SET state = 'flown' WHERE day < '2026-12-01';
UPDATE flights SET minutes_late = 240, cause = 'a technical fault' WHERE flight = 'LFA203' AND day = '2026-11-17';
UPDATE flights SET minutes_late = 300, cause = 'fog' WHERE flight = 'LFA301' AND day = '2026-11-12';
UPDATE flights SET minutes_late = 70, cause = 'a technical fault' WHERE flight = 'LFA402' AND day = '2026-11-20';
UPDATE flights SET minutes_late = 240, cause = 'a shortage of crew' WHERE day = '2020-06-10';

CREATE TABLE bookings (
    booking TEXT PRIMARY KEY, surname TEXT, passenger TEXT, people INTEGER, fare TEXT,
    flight TEXT, day TEXT,
    price REAL,                         -- paid for each person, taxes included
    taxes REAL,                         -- of them for each person: air passenger duty and airport charges
    booked TEXT,                        -- day and time
    hold_bags INTEGER,                  -- of all people together, those of the fare included
    seat TEXT DEFAULT '',
    sold_by TEXT DEFAULT 'us',          -- or agent, groups desk
    baby INTEGER DEFAULT 0,             -- on the lap
    cancelled INTEGER DEFAULT 0
);
INSERT INTO bookings (booking, surname, passenger, people, fare, flight, day, price, taxes, booked, hold_bags) VALUES
    ('HQWKTR', 'Bramley', 'Elsie Bramley', 1, 'Light', 'LFA303', '2026-12-11', 45, 13, '2026-10-20 18:05', 0),
    ('PLMNVS', 'Okafor', 'Idris Okafor', 2, 'Plus', 'LFA205', '2026-12-14', 68, 13, '2026-09-03 09:12', 2),
    ('ZBVTQL', 'Sutter', 'Nell Sutter', 1, 'Flex', 'LFA401', '2026-12-18', 111, 13, '2026-11-02 21:40', 2),
    ('RKDWXM', 'Pellow', 'Jonah Pellow', 1, 'Light', 'LFA803', '2026-12-12', 27, 7, '2026-11-15 12:00', 0),
    ('GTNHSB', 'Quayle', 'Moira Quayle', 3, 'Light', 'LFA303', '2026-12-07', 39, 13, '2026-08-30 08:00', 1),
    ('CVXPJD', 'Hossain', 'Tom Hossain', 1, 'Light', 'LFA207', '2026-12-04', 51, 13, '2026-10-01 10:10', 0),
    ('WNFRLK', 'Dunmore', 'Katya Dunmore', 2, 'Light', 'LFA403', '2026-12-09', 45, 13, '2026-11-11 11:11', 0),
    ('MXTGBC', 'Achterberg', 'Priya Achterberg', 1, 'Flex', 'LFA701', '2027-06-05', 135, 26, '2026-11-20 16:30', 2),
    ('YDKSVN', 'Pellow', 'Moira Pellow', 1, 'Light', 'LFA301', '2026-12-20', 45, 13, '2026-12-01 00:05', 0),
    ('SGWPXH', 'Bramley', 'Tom Bramley', 1, 'Light', 'LFA303', '2026-12-02', 39, 13, '2026-11-25 19:20', 0),
    ('JTBKLM', 'Sutter', 'Elise Sutter', 1, 'Flex', 'LFA901', '2026-12-02', 66, 7, '2026-11-26 07:45', 2),
    ('VRCDQN', 'Okafor', 'Nell Okafor', 1, 'Plus', 'LFA803', '2026-12-12', 43, 7, '2026-10-10 10:00', 1),
    ('XKGLTS', 'Hossain', 'Priya Hossain', 1, 'Plus', 'LFA402', '2026-12-15', 62, 13, '2026-10-05 15:00', 3),
    ('PDFVNK', 'Achterberg', 'Jonah Achterberg', 1, 'Plus', 'LFA304', '2026-12-16', 74, 13, '2025-12-20 13:00', 1),
    ('QTRZWD', 'Quayle', 'Idris Quayle', 2, 'Plus', 'LFA203', '2026-12-16', 62, 13, '2026-11-18 14:00', 2),
    ('BSNWZF', 'Dunmore', 'Elsie Dunmore', 2, 'Light', 'LFA203', '2026-11-17', 39, 13, '2026-10-02 10:00', 0),
    ('FJQMDL', 'Okafor', 'Katya Okafor', 1, 'Flex', 'LFA301', '2026-11-12', 105, 13, '2026-10-02 10:00', 2),
    ('DHXCTV', 'Sutter', 'Nell Sutter', 1, 'Light', 'LFA402', '2026-11-20', 39, 13, '2026-10-02 10:00', 0),
    ('NVZRKG', 'Bramley', 'Elsie Bramley', 1, 'Light', 'LFA203', '2020-06-10', 39, 13, '2020-05-02 10:00', 0);
INSERT INTO bookings (booking, surname, passenger, people, fare, flight, day, price, taxes, booked, hold_bags, sold_by, baby) VALUES
    ('TQJBHW', 'Dunmore', 'Jonah Dunmore', 1, 'Plus', 'LFA306', '2026-12-13', 62, 13, '2026-09-15 10:00', 1, 'agent', 0),
    ('KLVGPR', 'Achterberg', 'Eleanor Achterberg', 12, 'Plus', 'LFA204', '2027-02-12', 60, 13, '2026-11-01 10:00', 12, 'groups desk', 0),
    ('LWHZPB', 'Quayle', 'Priya Quayle', 1, 'Light', 'LFA205', '2026-12-17', 39, 13, '2026-11-09 10:00', 0, 'us', 1);

-- What has been asked for in conversations.
CREATE TABLE assistance (reference TEXT, booking TEXT, help TEXT, promised INTEGER);
INSERT INTO assistance VALUES ('A2H7KD', 'VRCDQN', 'a place for an assistance dog', 1);
CREATE TABLE charges (reference TEXT, booking TEXT, what TEXT, amount REAL, day TEXT);
CREATE TABLE refunds (reference TEXT, booking TEXT, amount REAL, day TEXT);
CREATE TABLE sports_items (reference TEXT, booking TEXT, item TEXT);
CREATE TABLE taken_seats (flight TEXT, day TEXT, seat TEXT, PRIMARY KEY (flight, day, seat));
INSERT INTO taken_seats VALUES ('LFA303', '2026-12-11', '7A'), ('LFA205', '2026-12-14', '1B');

-- A booking with its flight, and whether it may move without a fee: we cancelled, moved the flight by
-- more than 2 hours, or published a Weather Notice.
CREATE VIEW journeys AS
SELECT booking, surname, passenger, people, fare, bookings.flight, bookings.day, price, taxes, booked,
       hold_bags, seat, sold_by, baby, cancelled, departs, origin, destination, fare_group, light,
       state, minutes_moved, minutes_late, cause,
       state IN ('cancelled', 'weather notice') OR (state = 'moved' AND minutes_moved > 120) AS moves_free
FROM bookings JOIN flights ON flights.flight = bookings.flight AND flights.day = bookings.day;
