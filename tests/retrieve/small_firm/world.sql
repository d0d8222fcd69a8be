CREATE TABLE opening (day TEXT PRIMARY KEY, opens TEXT NOT NULL, last_start TEXT NOT NULL);
INSERT INTO opening VALUES
    ('1', '08:30', '17:00'), ('2', '08:30', '19:00'), ('3', '08:30', '17:00'),
    ('4', '10:00', '19:00'), ('5', '08:00', '15:30'), ('6', '09:00', '12:00');
CREATE TABLE appointment (
    reference TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    date TEXT NOT NULL,
    time TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (date, time)
);
INSERT INTO appointment VALUES ('KB2M7Q', 'check-up', '2030-03-05', '10:00', 'Ada Brook');
