-- Batches that never will be in the log: their process lost the answer, asked, and was told no. One that is heard
-- after that is refused, so that whoever sends its commands again does nothing twice.
create table hivelog.void_batches (
    batch_id  uuid primary key,
    voided_at timestamptz not null
);
