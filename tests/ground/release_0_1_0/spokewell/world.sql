-- The tables that actions read and change. Made once, at the first start of a build; what customers do stands in the build's world.sqlite.
CREATE TABLE bicycles (kind TEXT PRIMARY KEY, number INTEGER NOT NULL);
INSERT INTO bicycles VALUES ('a city bicycle', 6), ('an electric bicycle', 2);

CREATE TABLE hires (reference TEXT PRIMARY KEY, kind TEXT NOT NULL REFERENCES bicycles, date TEXT NOT NULL, name TEXT NOT NULL);
INSERT INTO hires VALUES ('H7KMQA', 'an electric bicycle', '2030-06-01', 'Ada Brook');
