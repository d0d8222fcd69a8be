-- The tables of the airline, filled from the benchmark's database by tau2_world.py. An action writes one row into a table of
-- requests (cancellations, flight_changes, ...); triggers carry it out, as the benchmark's own tools do.
CREATE TABLE users (id TEXT PRIMARY KEY, first TEXT, last TEXT, born TEXT, level TEXT) WITHOUT ROWID;
CREATE TABLE saved_passengers (user TEXT, first TEXT, last TEXT, born TEXT);
CREATE TABLE methods (user TEXT, id TEXT, source TEXT, amount REAL, brand TEXT, last_four TEXT, place INTEGER, PRIMARY KEY (user, id));
CREATE TABLE airports (code TEXT PRIMARY KEY, city TEXT) WITHOUT ROWID;
-- What people call an airport, besides its code.
CREATE TABLE places (name TEXT PRIMARY KEY, code TEXT) WITHOUT ROWID;
INSERT INTO places VALUES ('NYC', 'JFK'), ('New York City', 'JFK'), ('LA', 'LAX'), ('Vegas', 'LAS'), ('La Guardia', 'LGA'), ('San Fran', 'SFO'), ('Philly', 'PHL');
CREATE TABLE flights (id TEXT PRIMARY KEY, origin TEXT, destination TEXT, departs TEXT, arrives TEXT, days INTEGER) WITHOUT ROWID;
CREATE TABLE flight_days (flight TEXT, day TEXT, status TEXT, PRIMARY KEY (flight, day)) WITHOUT ROWID;
CREATE TABLE seats (flight TEXT, day TEXT, cabin TEXT, free INTEGER, price INTEGER, PRIMARY KEY (flight, day, cabin)) WITHOUT ROWID;
CREATE TABLE reservations (
    id TEXT PRIMARY KEY, user TEXT, origin TEXT, destination TEXT, trip TEXT, cabin TEXT, made TEXT, bags INTEGER, paid_bags INTEGER,
    insurance TEXT, status TEXT, place INTEGER
) WITHOUT ROWID;
CREATE TABLE legs (reservation TEXT, number INTEGER, flight TEXT, day TEXT, price INTEGER, origin TEXT, destination TEXT, PRIMARY KEY (reservation, number));
CREATE TABLE passengers (reservation TEXT, number INTEGER, first TEXT, last TEXT, born TEXT, PRIMARY KEY (reservation, number));
CREATE TABLE payments (id INTEGER PRIMARY KEY, reservation TEXT, method TEXT, amount INTEGER);
CREATE INDEX flights_from ON flights (origin, destination);
CREATE INDEX reservations_of ON reservations (user);
CREATE INDEX payments_of ON payments (reservation);

CREATE TABLE cancellations (reference TEXT, reservation TEXT);
CREATE TABLE flight_changes (reference TEXT, reservation TEXT, cabin TEXT, legs TEXT, method TEXT);
CREATE TABLE bag_changes (reference TEXT, reservation TEXT, bags INTEGER, paid_bags INTEGER, method TEXT);
CREATE TABLE passenger_changes (reference TEXT, reservation TEXT, number INTEGER, first TEXT, last TEXT, born TEXT);
CREATE TABLE certificates (reference TEXT, user TEXT, amount INTEGER, reservation TEXT);
CREATE TABLE bookings (
    reference TEXT, user TEXT, origin TEXT, destination TEXT, trip TEXT, cabin TEXT, legs TEXT, passengers TEXT, methods TEXT, bags INTEGER,
    paid_bags INTEGER, insurance TEXT
);
CREATE TABLE transfers (reference TEXT, why TEXT);

-- What one may fly on a day: direct, and with one stop where the second flight leaves after the first has arrived.
CREATE VIEW options AS
SELECT f.origin, f.destination, s.day, s.cabin, s.price, s.free, json_array(json_array(f.id, s.day)) AS legs, 0 AS stops,
       f.departs, f.arrives, f.days, 1440 * f.days + 60 * substr(f.arrives, 1, 2) + substr(f.arrives, 4, 2)
       - 60 * substr(f.departs, 1, 2) - substr(f.departs, 4, 2) AS minutes,
       f.id || ' at ' || substr(f.departs, 1, 5) AS shown
FROM flights f JOIN flight_days d ON d.flight = f.id AND d.status = 'available' JOIN seats s ON s.flight = f.id AND s.day = d.day
UNION ALL
SELECT f.origin, g.destination, s.day, s.cabin, s.price + t.price, min(s.free, t.free),
       json_array(json_array(f.id, s.day), json_array(g.id, t.day)), 1, f.departs, g.arrives, f.days + g.days,
       1440 * (f.days + g.days) + 60 * substr(g.arrives, 1, 2) + substr(g.arrives, 4, 2) - 60 * substr(f.departs, 1, 2) - substr(f.departs, 4, 2),
       f.id || ' at ' || substr(f.departs, 1, 5) || ' and ' || g.id || ' at ' || substr(g.departs, 1, 5)
FROM flights f JOIN flight_days d ON d.flight = f.id AND d.status = 'available' JOIN seats s ON s.flight = f.id AND s.day = d.day
JOIN flights g ON g.origin = f.destination AND (f.days = 1 OR g.departs >= f.arrives)
JOIN flight_days e ON e.flight = g.id AND e.status = 'available' AND e.day = date(s.day, '+' || f.days || ' days')
JOIN seats t ON t.flight = g.id AND t.day = e.day AND t.cabin = s.cabin;

-- Each leg of a reservation with its part of the trip: 0 there, 1 back.
CREATE VIEW parts AS
SELECT l.*, l.number > (SELECT min(m.number) FROM legs m WHERE m.reservation = l.reservation AND m.destination = r.destination) AS back,
       d.status, r.cabin, r.user
FROM legs l JOIN reservations r ON r.id = l.reservation LEFT JOIN flight_days d ON d.flight = l.flight AND d.day = l.day;

CREATE VIEW free_bags AS
SELECT r.id AS reservation, (SELECT count(*) FROM passengers p WHERE p.reservation = r.id)
       * (CASE u.level WHEN 'gold' THEN 2 WHEN 'silver' THEN 1 ELSE 0 END + CASE r.cabin WHEN 'business' THEN 2 WHEN 'economy' THEN 1 ELSE 0 END) AS free
FROM reservations r JOIN users u ON u.id = r.user;

CREATE TRIGGER cancel AFTER INSERT ON cancellations BEGIN
    INSERT INTO payments (reservation, method, amount)
    SELECT reservation, method, -amount FROM payments WHERE reservation = new.reservation ORDER BY id;
    UPDATE reservations SET status = 'cancelled' WHERE id = new.reservation;
END;

-- What the new legs cost a passenger more than the old ones; a leg that stays, in the same cabin, keeps its price.
CREATE VIEW change_costs AS
SELECT c.rowid AS change, c.reservation, c.method, r.user, (SELECT count(*) FROM passengers p WHERE p.reservation = c.reservation) * (
    (SELECT sum(coalesce((SELECT l.price FROM legs l WHERE l.reservation = c.reservation AND l.flight = j.value ->> 0 AND l.day = j.value ->> 1 AND r.cabin = c.cabin),
        (SELECT s.price FROM seats s WHERE s.flight = j.value ->> 0 AND s.day = j.value ->> 1 AND s.cabin = c.cabin))) FROM json_each(c.legs) j)
    - (SELECT sum(price) FROM legs WHERE reservation = c.reservation)) AS cost
FROM flight_changes c JOIN reservations r ON r.id = c.reservation;

CREATE TRIGGER change_flights AFTER INSERT ON flight_changes BEGIN
    UPDATE methods SET amount = amount - (SELECT cost FROM change_costs WHERE change = new.rowid)
    WHERE id = new.method AND source = 'gift_card' AND user = (SELECT user FROM reservations WHERE id = new.reservation);
    INSERT INTO payments (reservation, method, amount)
    SELECT reservation, method, cost FROM change_costs WHERE change = new.rowid AND cost != 0;
    INSERT INTO legs SELECT new.reservation, 100 + j.key, j.value ->> 0, j.value ->> 1,
        coalesce((SELECT l.price FROM legs l JOIN reservations r ON r.id = l.reservation WHERE l.reservation = new.reservation AND l.number < 100
                  AND l.flight = j.value ->> 0 AND l.day = j.value ->> 1 AND r.cabin = new.cabin),
                 (SELECT s.price FROM seats s WHERE s.flight = j.value ->> 0 AND s.day = j.value ->> 1 AND s.cabin = new.cabin)),
        f.origin, f.destination
    FROM json_each(new.legs) j JOIN flights f ON f.id = j.value ->> 0;
    DELETE FROM legs WHERE reservation = new.reservation AND number < 100;
    UPDATE legs SET number = number - 100 WHERE reservation = new.reservation;
    UPDATE reservations SET cabin = new.cabin WHERE id = new.reservation;
END;

CREATE TRIGGER change_bags AFTER INSERT ON bag_changes BEGIN
    INSERT INTO payments (reservation, method, amount)
    SELECT id, new.method, 50 * (new.paid_bags - paid_bags) FROM reservations WHERE id = new.reservation AND new.paid_bags > paid_bags;
    UPDATE methods SET amount = amount - (SELECT 50 * max(0, new.paid_bags - paid_bags) FROM reservations WHERE id = new.reservation)
    WHERE id = new.method AND source = 'gift_card' AND user = (SELECT user FROM reservations WHERE id = new.reservation);
    UPDATE reservations SET bags = new.bags, paid_bags = new.paid_bags WHERE id = new.reservation;
END;

CREATE TRIGGER change_passenger AFTER INSERT ON passenger_changes BEGIN
    UPDATE passengers SET first = new.first, last = new.last, born = new.born WHERE reservation = new.reservation AND number = new.number;
END;

CREATE TRIGGER send_certificate AFTER INSERT ON certificates BEGIN
    INSERT INTO methods SELECT new.user, 'certificate_' || (3221321 + (SELECT count(*) FROM certificates WHERE user = new.user)), 'certificate', new.amount, '', '',
        (SELECT count(*) FROM methods WHERE user = new.user);
END;

CREATE TRIGGER book AFTER INSERT ON bookings BEGIN
    INSERT INTO reservations SELECT 'HATHA' || substr('TUV', (SELECT count(*) FROM bookings), 1), new.user, new.origin, new.destination, new.trip, new.cabin,
        '2024-05-15T15:00:00', new.bags, new.paid_bags, new.insurance, NULL, 100 + (SELECT count(*) FROM bookings);
    INSERT INTO legs SELECT 'HATHA' || substr('TUV', (SELECT count(*) FROM bookings), 1), j.key, j.value ->> 0, j.value ->> 1,
        (SELECT s.price FROM seats s WHERE s.flight = j.value ->> 0 AND s.day = j.value ->> 1 AND s.cabin = new.cabin), f.origin, f.destination
    FROM json_each(new.legs) j JOIN flights f ON f.id = j.value ->> 0;
    INSERT INTO passengers SELECT 'HATHA' || substr('TUV', (SELECT count(*) FROM bookings), 1), j.key, j.value ->> 0, j.value ->> 1, j.value ->> 2
    FROM json_each(new.passengers) j;
    INSERT INTO payments (reservation, method, amount)
    SELECT 'HATHA' || substr('TUV', (SELECT count(*) FROM bookings), 1), j.value ->> 0, j.value ->> 1 FROM json_each(new.methods) j;
    UPDATE methods SET amount = amount - coalesce((SELECT j.value ->> 1 FROM json_each(new.methods) j WHERE j.value ->> 0 = methods.id), 0)
    WHERE user = new.user AND source = 'gift_card';
    DELETE FROM methods WHERE user = new.user AND source = 'certificate' AND id IN (SELECT j.value ->> 0 FROM json_each(new.methods) j);
    UPDATE seats SET free = free - json_array_length(new.passengers)
    WHERE cabin = new.cabin AND flight || day IN (SELECT j.value ->> 0 || (j.value ->> 1) FROM json_each(new.legs) j);
END;

-- What is said of a reservation. `coming`: some flight of it is still to be flown; `flown`: some flight of it has left.
CREATE VIEW trips AS
SELECT r.id AS reservation, r.*, a.city || ' to ' || b.city AS names, r.origin || ' to ' || r.destination AS codes,
       a.city || ' to ' || b.city AS route,
       (SELECT replace(group_concat(DISTINCT 'May ' || ltrim(substr(l.day, 9), '0')), ',', ', ') FROM legs l WHERE l.reservation = r.id) AS days,
       (SELECT min(l.day) FROM legs l WHERE l.reservation = r.id) AS first_day,
       replace(r.cabin, '_', ' ') AS cabin_name,
       (SELECT count(*) FROM passengers p WHERE p.reservation = r.id) AS heads,
       (SELECT CASE count(*) WHEN 1 THEN 'one passenger' ELSE count(*) || ' passengers' END FROM passengers p WHERE p.reservation = r.id) AS people,
       '$' || (SELECT coalesce(sum(amount), 0) FROM payments p WHERE p.reservation = r.id) AS refund,
       (SELECT p.method FROM payments p WHERE p.reservation = r.id ORDER BY p.id LIMIT 1) AS paid_with,
       EXISTS (SELECT 1 FROM parts l WHERE l.reservation = r.id AND l.status IN ('landed', 'flying')) AS flown,
       EXISTS (SELECT 1 FROM parts l WHERE l.reservation = r.id AND l.status = 'cancelled') AS called_off,
       EXISTS (SELECT 1 FROM parts l WHERE l.reservation = r.id AND l.status = 'delayed') AS late,
       EXISTS (SELECT 1 FROM parts l WHERE l.reservation = r.id AND l.status NOT IN ('landed', 'cancelled')) AS coming,
       (SELECT group_concat(l.flight) FROM legs l WHERE l.reservation = r.id) AS flights
FROM reservations r JOIN airports a ON a.code = r.origin JOIN airports b ON b.code = r.destination;

-- How a person may pay: words by which each is named.
CREATE VIEW ways AS
SELECT m.user, m.id, m.source, m.amount, m.last_four,
       CASE source WHEN 'credit_card' THEN replace(brand, 'mastercard', 'Mastercard (master card)') || ' credit card ending in ' || last_four
            ELSE replace(source, '_', ' ') || ' with $' || CAST(amount AS INTEGER)
            END AS shown
FROM methods m;
