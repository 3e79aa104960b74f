//! What the table is made of: lines, sizes, and what is done with objects of that size by so many at once.

use clap::ValueEnum;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// (a) The S3 store itself.
    Direct,
    /// (b) Weir in front of it.
    Weir,
    /// (c) Express and the client `minio` in front of it.
    Express,
    /// (d) The S3 store itself, which is sent an object in parts as Weir sends it.
    Parts,
}

impl Line {
    /// All lines, in the table's order.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Weir, Self::Express, Self::Parts];

    /// Its letter in the options and in the table.
    pub fn letter(self) -> char {
        match self {
            Self::Direct => 'a',
            Self::Weir => 'b',
            Self::Express => 'c',
            Self::Parts => 'd',
        }
    }

    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Weir => "weir",
            Self::Express => "express",
            Self::Parts => "parts",
        }
    }

    /// What it is, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "the S3 store itself",
            Self::Weir => "Weir",
            Self::Express => "Express + MinIO's client",
            Self::Parts => "the S3 store itself, in parts as Weir sends them",
        }
    }

    /// Whether it has cells of this size with so many at once.
    pub fn takes(self, size: Size, at_once: usize) -> bool {
        match self {
            Self::Direct | Self::Weir => true,
            Self::Express => size != Size::Big,
            // With many at once the store has enough to do anyway.
            Self::Parts => size == Size::Big && at_once == 1,
        }
    }
}

/// How large the objects of a cell are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Size {
    /// 4 KiB.
    #[value(name = "4kib")]
    Small,
    /// 1 MiB.
    #[value(name = "1mib")]
    Middle,
    /// As large as `--big-mib` says.
    Big,
}

impl Size {
    /// In bytes, where the big ones have so many MiB.
    pub fn bytes(self, big_mib: u16) -> u64 {
        match self {
            Self::Small => 4 << 10,
            Self::Middle => 1 << 20,
            Self::Big => u64::from(big_mib) << 20,
        }
    }

    /// Objects that are stored by so many at once. A cell of the small ones takes one to several seconds, and of the big ones each client
    /// stores one: 32 times 256 MiB are 8 GiB, which has to fit the disk and everybody's patience.
    pub fn puts(self, at_once: usize) -> usize {
        match self {
            Self::Small => (100 * at_once).max(400),
            Self::Middle => (24 * at_once).max(120),
            Self::Big => at_once.max(4),
        }
    }

    /// Objects that are fetched by so many at once: those that were stored, over and over.
    pub fn gets(self, at_once: usize) -> usize {
        match self {
            Self::Small => (250 * at_once).max(1_500),
            Self::Middle => (48 * at_once).max(360),
            Self::Big => at_once.max(6),
        }
    }

    /// Objects that are stored before the clock starts, so that connections and caches are as they are when a service has been running.
    pub fn warm_puts(self, at_once: usize) -> usize {
        match self {
            Self::Small => (8 * at_once).max(40),
            Self::Middle => (2 * at_once).max(12),
            Self::Big => 1,
        }
    }

    /// The same for fetching.
    pub fn warm_gets(self, at_once: usize) -> usize {
        self.warm_puts(at_once)
    }

    /// Its name in the results.
    pub fn name(self, big_mib: u16) -> String {
        match self {
            Self::Small => "4kib".to_owned(),
            Self::Middle => "1mib".to_owned(),
            Self::Big => format!("{big_mib}mib"),
        }
    }

    /// What it is, for the table.
    pub fn title(self, big_mib: u16) -> String {
        match self {
            Self::Small => "4 KiB".to_owned(),
            Self::Middle => "1 MiB".to_owned(),
            Self::Big => format!("{big_mib} MiB"),
        }
    }

    /// What rates and times are told for: an object of the small ones, a MiB of all others.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub fn units(self, big_mib: u16) -> f64 {
        match self {
            Self::Small => 1.0,
            Self::Middle | Self::Big => self.bytes(big_mib) as f64 / f64::from(1 << 20),
        }
    }
}

/// What is done with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// They are stored.
    Put,
    /// They are fetched.
    Get,
}

impl Verb {
    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// A cell of each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What is done.
    pub verb: Verb,
    /// How large the objects are.
    pub size: Size,
    /// How many at once.
    pub at_once: usize,
}

impl Cell {
    /// Its name in the results.
    pub fn name(self, big_mib: u16) -> String {
        format!("{}_{}_{}", self.verb.name(), self.size.name(big_mib), self.at_once)
    }
}
