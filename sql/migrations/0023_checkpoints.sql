-- A checkpoint moves with every batch, many times a second. Its position is part of its key: beside an old snapshot,
-- where all its former versions stay, a look then comes upon the present one first, instead of passing them all. One
-- row a generation; only a rebuild makes another.
create table hivelog.checkpoints (
    name       text not null,
    generation integer not null,
    position   bigint not null default 0,
    updated_at timestamptz not null default hivelog.now(),
    primary key (name, generation, position),
    foreign key (name, generation) references hivelog.projections on update cascade on delete cascade
);
insert into hivelog.checkpoints (name, generation, position, updated_at)
select name, generation, position, updated_at from hivelog.projections;
alter table hivelog.projections drop column position, drop column updated_at;
