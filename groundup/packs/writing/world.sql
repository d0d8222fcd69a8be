-- A small world to try the actions on: an empty copy of what the centre's own diary would hold, with some bookings.
-- It is made once, as world.sqlite, when the assistant is first opened; the actions change that copy, never this file.
-- The appointments' dates follow the day on which it is made, today(), so that there is always one to cancel.

-- The terms of the university; all other days are vacation (about-the-centre.md has the hours of both).
CREATE TABLE terms (term TEXT PRIMARY KEY, first TEXT NOT NULL, last TEXT NOT NULL);
INSERT INTO terms VALUES
  ('autumn 2026', '2026-09-28', '2026-12-18'), ('spring 2027', '2027-01-11', '2027-03-26'), ('summer 2027', '2027-04-19', '2027-06-25'),
  ('autumn 2027', '2027-09-27', '2027-12-17');

-- Opening hours; weekday 0 is Sunday, as in SQLite's strftime('%w').
CREATE TABLE hours (in_term INTEGER NOT NULL, weekday INTEGER NOT NULL, opens TEXT NOT NULL, closes TEXT NOT NULL);
INSERT INTO hours VALUES
  (1, 1, '09:30', '17:30'), (1, 2, '09:30', '17:30'), (1, 3, '09:30', '17:30'), (1, 4, '09:30', '17:30'), (1, 5, '09:30', '13:00'),
  (0, 2, '10:00', '15:00'), (0, 3, '10:00', '15:00'), (0, 4, '10:00', '15:00');

-- Tutors who hold appointments.
CREATE TABLE tutors (tutor TEXT PRIMARY KEY);
INSERT INTO tutors VALUES ('Callum Strachan'), ('Priya Ramanathan');

CREATE TABLE appointments (
  reference TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  date TEXT NOT NULL,
  time TEXT NOT NULL,
  how TEXT NOT NULL DEFAULT 'in person' CHECK (how IN ('in person', 'online')),
  status TEXT NOT NULL DEFAULT 'booked' CHECK (status IN ('booked', 'cancelled', 'held', 'missed'))
);
INSERT INTO appointments (reference, name, date, time, status) VALUES
  ('W4MEN7', 'Mensa', date(today(), '+7 days', 'weekday 3'), '11:00', 'booked'),
  ('W2BEN5', 'Ben', date(today(), '+1 day', 'weekday 3'), '14:00', 'booked'),
  ('W6CAR8', 'Carla', date(today(), '+2 days', 'weekday 4'), '10:00', 'booked'),
  ('W7MAR2', 'Marsh', date(today(), '+2 days', 'weekday 4'), '10:30', 'booked'),
  ('W8DEL3', 'Delaney', date(today(), '-12 days'), '10:00', 'missed'),
  ('W9DEL4', 'Delaney', date(today(), '-5 days'), '10:00', 'missed'),
  ('W3SIX1', 'Sie', date(today(), '-56 days'), '10:00', 'held'), ('W3SIX2', 'Sie', date(today(), '-49 days'), '10:00', 'held'),
  ('W3SIX3', 'Sie', date(today(), '-42 days'), '10:00', 'held'), ('W3SIX4', 'Sie', date(today(), '-35 days'), '10:00', 'held'),
  ('W3SIX5', 'Sie', date(today(), '-28 days'), '10:00', 'held'), ('W3SIX6', 'Sie', date(today(), '-21 days'), '10:00', 'held');

CREATE TABLE workshops (workshop TEXT PRIMARY KEY, date TEXT NOT NULL, leader TEXT NOT NULL, places INTEGER NOT NULL);
INSERT INTO workshops VALUES
  ('titles and abstracts', '2027-02-10', 'Priya Ramanathan', 16),
  ('from notes to prose', '2027-02-24', 'Dr Miriam Oakshott', 16),
  ('limitations without apology', '2027-03-10', 'Callum Strachan', 16);
CREATE TABLE workshop_places (
  reference TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  workshop TEXT NOT NULL REFERENCES workshops (workshop),
  price REAL NOT NULL
);
-- The second workshop is full.
INSERT INTO workshop_places
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 16)
  SELECT 'P' || printf('%05d', i), 'guest ' || i, 'from notes to prose', 0 FROM n;

CREATE TABLE outlines (
  reference TEXT PRIMARY KEY,
  paper TEXT NOT NULL,
  result TEXT NOT NULL,
  question TEXT NOT NULL,
  method TEXT NOT NULL,
  data TEXT NOT NULL,
  limitations TEXT NOT NULL
);

CREATE TABLE paper_references (reference TEXT PRIMARY KEY, paper TEXT NOT NULL, source TEXT NOT NULL);
-- A paper that has its 10 references.
INSERT INTO paper_references
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
  SELECT 'S' || printf('%05d', i), 'night buses', 'Carla (' || (2010 + i) || ')' FROM n;

-- How many words a text may have, and where that stands.
CREATE TABLE word_limits (kind TEXT PRIMARY KEY, least INTEGER NOT NULL, most INTEGER NOT NULL);
INSERT INTO word_limits VALUES
  ('abstract', 1, 200), ('title', 1, 14), ('summary', 1, 60), ('outline', 1, 250), ('limitations', 1, 150),
  ('related work', 1, 40), ('short paper', 400, 700);

CREATE TABLE deadlines (deadline TEXT NOT NULL, day TEXT PRIMARY KEY);
INSERT INTO deadlines VALUES
  ('January', '2027-01-15'), ('May', '2027-05-15'), ('September', '2027-09-15'),
  ('January', '2028-01-15'), ('May', '2028-05-15'), ('September', '2028-09-15');
CREATE TABLE planned_papers (
  reference TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  words INTEGER NOT NULL,
  authors INTEGER NOT NULL,
  due TEXT NOT NULL
);
