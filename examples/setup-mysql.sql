-- The table of the MySQL example, in database inventory.
CREATE TABLE IF NOT EXISTS bets (
    id        bigint PRIMARY KEY,
    horse     text NOT NULL,
    stake     numeric(10, 2) NOT NULL,
    placed_at timestamp NOT NULL DEFAULT current_timestamp
);
INSERT IGNORE INTO bets (id, horse, stake) VALUES (1, 'Comet', 5.00), (2, 'Moonlight', 12.50);
