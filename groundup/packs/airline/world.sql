-- The world in which Larkfell Air's actions are tried: flights of a year around the day on which it is
-- made (today()), some bookings with the names of the pack's stories. All invented. A booking is one flight.

CREATE TABLE timetable (
    flight TEXT, departs TEXT, origin TEXT, destination TEXT, minutes INTEGER,
    weekdays TEXT,                      -- 0 is Sunday
    fare_group TEXT,
    first_day TEXT DEFAULT '', last_day TEXT DEFAULT '9999'
);
INSERT INTO timetable (flight, departs, origin, destination, minutes, weekdays, fare_group) VALUES
    ('LFA201', '07:00', 'Thornmere', 'Castle Dorran', 55, '12345', 'mainland'),
    ('LFA202', '08:30', 'Castle Dorran', 'Thornmere', 55, '12345', 'mainland'),
    ('LFA203', '10:30', 'Thornmere', 'Castle Dorran', 55, '0123456', 'mainland'),
    ('LFA204', '12:00', 'Castle Dorran', 'Thornmere', 55, '0123456', 'mainland'),
    ('LFA205', '14:30', 'Thornmere', 'Castle Dorran', 55, '12345', 'mainland'),
    ('LFA206', '16:00', 'Castle Dorran', 'Thornmere', 55, '12345', 'mainland'),
    ('LFA207', '18:00', 'Thornmere', 'Castle Dorran', 55, '0123456', 'mainland'),
    ('LFA208', '19:30', 'Castle Dorran', 'Thornmere', 55, '0123456', 'mainland'),
    ('LFA301', '07:30', 'Thornmere', 'Port Hallan', 65, '0123456', 'mainland'),
    ('LFA302', '09:20', 'Port Hallan', 'Thornmere', 65, '0123456', 'mainland'),
    ('LFA303', '12:30', 'Thornmere', 'Port Hallan', 65, '0123456', 'mainland'),
    ('LFA304', '14:20', 'Port Hallan', 'Thornmere', 65, '0123456', 'mainland'),
    ('LFA305', '17:30', 'Thornmere', 'Port Hallan', 65, '0123456', 'mainland'),
    ('LFA306', '19:20', 'Port Hallan', 'Thornmere', 65, '0123456', 'mainland'),
    ('LFA401', '08:00', 'Thornmere', 'Ellerwick', 70, '012345', 'mainland'),
    ('LFA402', '09:50', 'Ellerwick', 'Thornmere', 70, '012345', 'mainland'),
    ('LFA403', '16:30', 'Thornmere', 'Ellerwick', 70, '012345', 'mainland'),
    ('LFA404', '18:20', 'Ellerwick', 'Thornmere', 70, '012345', 'mainland'),
    ('LFA501', '11:00', 'Castle Dorran', 'Port Hallan', 45, '12345', 'mainland'),
    ('LFA502', '12:30', 'Port Hallan', 'Castle Dorran', 45, '12345', 'mainland'),
    ('LFA801', '08:00', 'Port Hallan', 'Isle of Venna', 20, '123456', 'island'),
    ('LFA802', '08:40', 'Isle of Venna', 'Port Hallan', 20, '123456', 'island'),
    ('LFA803', '10:00', 'Port Hallan', 'Isle of Venna', 20, '0123456', 'island'),
    ('LFA804', '10:40', 'Isle of Venna', 'Port Hallan', 20, '0123456', 'island'),
    ('LFA805', '12:00', 'Port Hallan', 'Isle of Venna', 20, '123456', 'island'),
    ('LFA806', '12:40', 'Isle of Venna', 'Port Hallan', 20, '123456', 'island'),
    ('LFA807', '14:00', 'Port Hallan', 'Isle of Venna', 20, '123456', 'island'),
    ('LFA808', '14:40', 'Isle of Venna', 'Port Hallan', 20, '123456', 'island'),
    ('LFA809', '16:00', 'Port Hallan', 'Isle of Venna', 20, '0123456', 'island'),
    ('LFA810', '16:40', 'Isle of Venna', 'Port Hallan', 20, '0123456', 'island'),
    ('LFA811', '18:00', 'Port Hallan', 'Isle of Venna', 20, '123456', 'island'),
    ('LFA812', '18:40', 'Isle of Venna', 'Port Hallan', 20, '123456', 'island'),
    ('LFA901', '09:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', 'island'),
    ('LFA902', '09:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', 'island'),
    ('LFA903', '13:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', 'island'),
    ('LFA904', '13:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', 'island'),
    ('LFA905', '17:00', 'Port Hallan', 'Isle of Ruska', 35, '123456', 'island'),
    ('LFA906', '17:50', 'Isle of Ruska', 'Port Hallan', 35, '123456', 'island');
INSERT INTO timetable VALUES
    ('LFA601', '07:15', 'Thornmere', 'Skelby', 50, '012345', 'mainland', '2027-03-28', '9999'),
    ('LFA602', '08:40', 'Skelby', 'Thornmere', 50, '012345', 'mainland', '2027-03-28', '9999'),
    ('LFA603', '17:40', 'Thornmere', 'Skelby', 50, '012345', 'mainland', '2027-03-28', '9999'),
    ('LFA604', '19:05', 'Skelby', 'Thornmere', 50, '012345', 'mainland', '2027-03-28', '9999'),
    ('LFA701', '10:20', 'Thornmere', 'Saint-Orvain', 95, '36', 'abroad', '2027-05-01', '2027-09-25'),
    ('LFA702', '13:45', 'Saint-Orvain', 'Thornmere', 95, '36', 'abroad', '2027-05-01', '2027-09-25');

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
    SELECT date(today(), '-30 days') UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < date(today(), '+335 days')
)
INSERT INTO flights (flight, day, departs, origin, destination, fare_group, light, seats)
SELECT flight, day, departs, origin, destination, fare_group,
       lowest + 6 * ((CAST(strftime('%j', day) AS INTEGER) * 3 + CAST(substr(flight, 4) AS INTEGER)) % 4),
       4 + (CAST(strftime('%j', day) AS INTEGER) * 5 + CAST(substr(flight, 4) AS INTEGER)) % 13
FROM days JOIN timetable ON instr(weekdays, strftime('%w', day)) AND day BETWEEN first_day AND last_day
JOIN fares USING (fare_group)
WHERE fare = 'Light' AND strftime('%m-%d', day) <> '12-25';
INSERT INTO flights (flight, day, departs, origin, destination, fare_group, light, seats)
VALUES ('LFA203', date(today(), '-7 years'), '10:30', 'Thornmere', 'Castle Dorran', 'mainland', 39, 0);

UPDATE flights SET state = 'cancelled', cause = 'a shortage of crew' WHERE flight = 'LFA207' AND day = date(today(), '+3 days', 'weekday 5');
UPDATE flights SET state = 'moved', minutes_moved = 150 WHERE flight = 'LFA403' AND day = date(today(), '+8 days', 'weekday 3');
UPDATE flights SET state = 'moved', minutes_moved = 45 WHERE flight = 'LFA203' AND day = date(today(), '+15 days', 'weekday 3');
UPDATE flights SET state = 'weather notice', cause = 'a storm' WHERE destination = 'Port Hallan' AND day = date(today(), '+6 days', 'weekday 1');
UPDATE flights SET seats = 0 WHERE destination = 'Port Hallan' AND origin = 'Thornmere' AND day = date(today(), '+18 days', 'weekday 6');
UPDATE flights SET state = 'flown' WHERE day < today();
UPDATE flights SET minutes_late = 240, cause = 'a technical fault' WHERE flight = 'LFA203' AND day = date(today(), '-14 days', 'weekday 2');
UPDATE flights SET minutes_late = 300, cause = 'fog' WHERE flight = 'LFA301' AND day = date(today(), '-19 days', 'weekday 4');
UPDATE flights SET minutes_late = 70, cause = 'a technical fault' WHERE flight = 'LFA402' AND day = date(today(), '-11 days', 'weekday 5');
UPDATE flights SET minutes_late = 240, cause = 'a shortage of crew' WHERE day = date(today(), '-7 years');

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
    ('HQWKTR', 'Bramley', 'Elsie Bramley', 1, 'Light', 'LFA303', date(today(), '+10 days', 'weekday 5'), 45, 13, date(today(), '-42 days') || ' 18:05', 0),
    ('PLMNVS', 'Okafor', 'Idris Okafor', 2, 'Plus', 'LFA205', date(today(), '+13 days', 'weekday 1'), 68, 13, date(today(), '-89 days') || ' 09:12', 2),
    ('ZBVTQL', 'Sutter', 'Nell Sutter', 1, 'Flex', 'LFA401', date(today(), '+17 days', 'weekday 5'), 111, 13, date(today(), '-29 days') || ' 21:40', 2),
    ('RKDWXM', 'Pellow', 'Jonah Pellow', 1, 'Light', 'LFA803', date(today(), '+11 days', 'weekday 6'), 27, 7, date(today(), '-16 days') || ' 12:00', 0),
    ('GTNHSB', 'Quayle', 'Moira Quayle', 3, 'Light', 'LFA303', date(today(), '+6 days', 'weekday 1'), 39, 13, date(today(), '-93 days') || ' 08:00', 1),
    ('CVXPJD', 'Hossain', 'Tom Hossain', 1, 'Light', 'LFA207', date(today(), '+3 days', 'weekday 5'), 51, 13, date(today(), '-61 days') || ' 10:10', 0),
    ('WNFRLK', 'Dunmore', 'Katya Dunmore', 2, 'Light', 'LFA403', date(today(), '+8 days', 'weekday 3'), 45, 13, date(today(), '-20 days') || ' 11:11', 0),
    ('MXTGBC', 'Achterberg', 'Priya Achterberg', 1, 'Flex', 'LFA701', '2027-06-05', 135, 26, date(today(), '-11 days') || ' 16:30', 2),
    ('YDKSVN', 'Pellow', 'Moira Pellow', 1, 'Light', 'LFA301', date(today(), '+19 days', 'weekday 0'), 45, 13, today() || ' 00:05', 0),
    ('SGWPXH', 'Bramley', 'Tom Bramley', 1, 'Light', 'LFA303', date(today(), '+1 day'), 39, 13, date(today(), '-6 days') || ' 19:20', 0),
    ('JTBKLM', 'Sutter', 'Elise Sutter', 1, 'Flex', 'LFA803', date(today(), '+1 day'), 66, 7, date(today(), '-5 days') || ' 07:45', 2),
    ('VRCDQN', 'Okafor', 'Nell Okafor', 1, 'Plus', 'LFA803', date(today(), '+11 days', 'weekday 6'), 43, 7, date(today(), '-52 days') || ' 10:00', 1),
    ('XKGLTS', 'Hossain', 'Priya Hossain', 1, 'Plus', 'LFA402', date(today(), '+14 days', 'weekday 2'), 62, 13, date(today(), '-57 days') || ' 15:00', 3),
    ('PDFVNK', 'Achterberg', 'Jonah Achterberg', 1, 'Plus', 'LFA304', date(today(), '+15 days', 'weekday 3'), 74, 13, date(today(), '-346 days') || ' 13:00', 1),
    ('QTRZWD', 'Quayle', 'Idris Quayle', 2, 'Plus', 'LFA203', date(today(), '+15 days', 'weekday 3'), 62, 13, date(today(), '-13 days') || ' 14:00', 2),
    ('BSNWZF', 'Dunmore', 'Elsie Dunmore', 2, 'Light', 'LFA203', date(today(), '-14 days', 'weekday 2'), 39, 13, date(today(), '-60 days') || ' 10:00', 0),
    ('FJQMDL', 'Okafor', 'Katya Okafor', 1, 'Flex', 'LFA301', date(today(), '-19 days', 'weekday 4'), 105, 13, date(today(), '-60 days') || ' 10:00', 2),
    ('DHXCTV', 'Sutter', 'Nell Sutter', 1, 'Light', 'LFA402', date(today(), '-11 days', 'weekday 5'), 39, 13, date(today(), '-60 days') || ' 10:00', 0),
    ('NVZRKG', 'Bramley', 'Elsie Bramley', 1, 'Light', 'LFA203', date(today(), '-7 years'), 39, 13, date(today(), '-8 years') || ' 10:00', 0);
INSERT INTO bookings (booking, surname, passenger, people, fare, flight, day, price, taxes, booked, hold_bags, sold_by, baby) VALUES
    ('TQJBHW', 'Dunmore', 'Jonah Dunmore', 1, 'Plus', 'LFA306', date(today(), '+12 days', 'weekday 0'), 62, 13, date(today(), '-77 days') || ' 10:00', 1, 'agent', 0),
    ('KLVGPR', 'Achterberg', 'Eleanor Achterberg', 12, 'Plus', 'LFA204', date(today(), '+73 days', 'weekday 5'), 60, 13, date(today(), '-30 days') || ' 10:00', 12, 'groups desk', 0),
    ('LWHZPB', 'Quayle', 'Priya Quayle', 1, 'Light', 'LFA205', date(today(), '+16 days', 'weekday 4'), 39, 13, date(today(), '-22 days') || ' 10:00', 0, 'us', 1);

-- What has been asked for in conversations.
CREATE TABLE assistance (reference TEXT, booking TEXT, help TEXT, promised INTEGER);
INSERT INTO assistance VALUES ('A2H7KD', 'VRCDQN', 'a place for an assistance dog', 1);
CREATE TABLE charges (reference TEXT, booking TEXT, what TEXT, amount REAL, day TEXT);
CREATE TABLE refunds (reference TEXT, booking TEXT, amount REAL, day TEXT);
CREATE TABLE sports_items (reference TEXT, booking TEXT, item TEXT);
CREATE TABLE taken_seats (flight TEXT, day TEXT, seat TEXT, PRIMARY KEY (flight, day, seat));
INSERT INTO taken_seats VALUES ('LFA303', date(today(), '+10 days', 'weekday 5'), '7A'), ('LFA205', date(today(), '+13 days', 'weekday 1'), '1B');

-- A booking with its flight, and whether it may move without a fee: we cancelled, moved the flight by
-- more than 2 hours, or published a Weather Notice.
CREATE VIEW journeys AS
SELECT booking, surname, passenger, people, fare, bookings.flight, bookings.day, price, taxes, booked,
       hold_bags, seat, sold_by, baby, cancelled, departs, origin, destination, fare_group, light,
       state, minutes_moved, minutes_late, cause,
       state IN ('cancelled', 'weather notice') OR (state = 'moved' AND minutes_moved > 120) AS moves_free
FROM bookings JOIN flights ON flights.flight = bookings.flight AND flights.day = bookings.day;
