-- A small world to try the actions on: an empty copy of what the school's own systems would hold, with three families.
-- It is made once, as world.sqlite, when the assistant is first opened; the actions change that copy, never this file.

CREATE TABLE parents (parent TEXT PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL);
INSERT INTO parents VALUES
  ('reid', 'Mrs Reid', '01632 960 301'), ('patel', 'Mr Patel', '01632 960 302'), ('osei', 'Mrs Osei', '01632 960 303');

-- Logins of pupils, who may not report or pay (parent-portal-help.md).
CREATE TABLE pupil_logins (login TEXT PRIMARY KEY);
INSERT INTO pupil_logins VALUES ('callum.reid'), ('theo.osei');

CREATE TABLE children (
  pupil TEXT PRIMARY KEY,
  first_name TEXT NOT NULL,
  parent TEXT NOT NULL REFERENCES parents (parent),
  form TEXT NOT NULL,
  year INTEGER NOT NULL,
  lunch_limit REAL NOT NULL DEFAULT 6.00
);
INSERT INTO children (pupil, first_name, parent, form, year) VALUES
  ('Isla Reid', 'Isla', 'reid', '7B', 7),
  ('Callum Reid', 'Callum', 'reid', '9A', 9),
  ('Finn Reid', 'Finn', 'reid', '11F', 11),
  ('Amira Patel', 'Amira', 'patel', '8C', 8),
  ('Theo Osei', 'Theo', 'osei', '10D', 10);

-- Days on which pupils have school (term-dates-2026-27.md): 190 of them.
CREATE TABLE terms (first TEXT NOT NULL, last TEXT NOT NULL, term_starts TEXT NOT NULL);
INSERT INTO terms VALUES
  ('2026-09-02', '2026-10-22', '2026-09-02'), ('2026-11-02', '2026-12-18', '2026-09-02'),
  ('2027-01-05', '2027-02-12', '2027-01-05'), ('2027-02-22', '2027-03-25', '2027-01-05'),
  ('2027-04-13', '2027-05-28', '2027-04-13'), ('2027-06-07', '2027-07-20', '2027-04-13');
CREATE TABLE school_days (day TEXT PRIMARY KEY);
INSERT INTO school_days
  WITH RECURSIVE days (day) AS (
    SELECT '2026-09-02' UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < '2027-07-20')
  SELECT day FROM days
  WHERE strftime('%w', day) BETWEEN '1' AND '5' AND day <> '2027-05-03'
    AND EXISTS (SELECT 1 FROM terms WHERE day BETWEEN first AND last);

CREATE TABLE absences (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL REFERENCES children (pupil),
  day TEXT NOT NULL,
  reason TEXT NOT NULL,
  UNIQUE (pupil, day)
);
INSERT INTO absences VALUES ('A5FNN2', 'Finn Reid', '2026-12-01', 'illness');

CREATE TABLE appointments_out (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL REFERENCES children (pupil),
  day TEXT NOT NULL,
  time TEXT NOT NULL,
  kind TEXT NOT NULL
);

CREATE TABLE leave_requests (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL REFERENCES children (pupil),
  first_day TEXT NOT NULL,
  last_day TEXT NOT NULL,
  reason TEXT NOT NULL,
  answer TEXT NOT NULL DEFAULT 'open'
);

CREATE TABLE diet_forms (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL REFERENCES children (pupil),
  diet TEXT NOT NULL,
  first_meal TEXT NOT NULL
);

-- Seats of the school buses, and who has one for the year or a term (school-buses.md).
CREATE TABLE buses (route TEXT PRIMARY KEY, seats INTEGER NOT NULL);
INSERT INTO buses VALUES ('T1', 4), ('T2', 2), ('T3', 5);
CREATE TABLE bus_seats (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL,
  route TEXT NOT NULL REFERENCES buses (route),
  ticket TEXT NOT NULL CHECK (ticket IN ('year', 'term')),
  starts TEXT NOT NULL,
  price REAL NOT NULL
);
INSERT INTO bus_seats VALUES
  ('B4CAL6', 'Callum Reid', 'T1', 'year', '2026-09-02', 540.00),
  ('B7AMI3', 'Amira Patel', 'T2', 'year', '2026-09-02', 540.00),
  ('B9THE5', 'Theo Osei', 'T2', 'year', '2026-09-02', 540.00);
CREATE TABLE day_tickets (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL,
  route TEXT NOT NULL REFERENCES buses (route),
  day TEXT NOT NULL,
  price REAL NOT NULL,
  UNIQUE (pupil, route, day)
);
INSERT INTO day_tickets VALUES
  ('D2THE7', 'Theo Osei', 'T3', '2026-12-09', 3.50), ('D3AMI8', 'Amira Patel', 'T3', '2026-12-09', 3.50),
  ('D4JAK9', 'Jakub Kowalski', 'T3', '2026-12-09', 3.50), ('D5LEI2', 'Leila Hussain', 'T3', '2026-12-09', 3.50),
  ('D6NOA3', 'Noah Walsh', 'T3', '2026-12-09', 3.50);

CREATE TABLE parents_evenings (year INTEGER NOT NULL, day TEXT NOT NULL, how TEXT NOT NULL, PRIMARY KEY (year, day));
INSERT INTO parents_evenings VALUES
  (10, '2026-11-19', 'online'), (11, '2027-01-14', 'in person'), (9, '2027-02-04', 'in person'),
  (8, '2027-03-11', 'online'), (7, '2027-04-29', 'in person');
CREATE TABLE evening_slots (
  reference TEXT PRIMARY KEY,
  pupil TEXT NOT NULL,
  year INTEGER NOT NULL,
  subject TEXT NOT NULL,
  day TEXT NOT NULL,
  time TEXT NOT NULL,
  UNIQUE (year, subject, day, time)
);
INSERT INTO evening_slots VALUES ('E3ZAR4', 'Zara Marsh', 11, 'maths', '2027-01-14', '17:00');

CREATE TABLE clubs (club TEXT PRIMARY KEY, day TEXT NOT NULL, places INTEGER NOT NULL, cost TEXT NOT NULL);
INSERT INTO clubs VALUES
  ('netball', 'Monday', 30, 'free'), ('choir', 'Monday', 60, 'free'), ('chess', 'Monday at lunch', 30, 'free'),
  ('football', 'Tuesday', 40, 'free'), ('robotics', 'Tuesday', 16, '£10 a term for parts'), ('debating', 'Tuesday', 30, 'free'),
  ('drama', 'Wednesday', 40, 'free'), ('cross-country running', 'Wednesday', 40, 'free'), ('art', 'Wednesday', 25, 'free'),
  ('badminton', 'Thursday', 24, 'free'), ('gardening', 'Thursday', 20, 'free'), ('coding', 'Thursday', 25, 'free'),
  ('board games', 'Friday at lunch', 40, 'free');
CREATE TABLE club_members (reference TEXT PRIMARY KEY, pupil TEXT NOT NULL, club TEXT NOT NULL REFERENCES clubs (club), UNIQUE (pupil, club));
-- Robotics is full.
INSERT INTO club_members
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16)
  SELECT 'R' || printf('%05d', i), 'pupil ' || i, 'robotics' FROM n;
INSERT INTO club_members VALUES ('C6ISL8', 'Isla Reid', 'choir');
