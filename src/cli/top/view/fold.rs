//! Who gets how many rows: sections want as many as they have, windows have as many as they have.

/// A title and three rows: with less than that, or than it has, a section is left out rather than shown as a stump.
const LEAST: u16 = 4;

/// A title and a row: what the most important one makes do with.
const STUMP: u16 = 2;

/// Between two sections.
pub const BETWEEN: u16 = 1;

/// Rows for sections that want these, the most important first. First each gets what it needs to say anything, as far down the
/// list as there is room; what is left goes round, a row at a time. 0: not shown.
pub fn share(space: u16, wants: &[u16]) -> Vec<u16> {
    let mut rows = vec![0; wants.len()];
    let mut left = space;
    for (row, want) in rows.iter_mut().zip(wants) {
        let first = left == space;
        let room = left.saturating_sub(if first { 0 } else { BETWEEN });
        let least = (*want).min(if first { room.min(LEAST) } else { LEAST });
        if least >= STUMP && room >= least {
            *row = least;
            left = room - least;
        }
    }
    loop {
        let before = left;
        for (row, want) in rows.iter_mut().zip(wants) {
            if left > 0 && *row > 0 && *row < *want {
                *row += 1;
                left -= 1;
            }
        }
        if left == before {
            return rows;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn important_sections_come_first_and_the_rest_goes_round() {
        assert_eq!(share(30, &[5, 5, 5]), [5, 5, 5]);
        assert_eq!(share(14, &[5, 5, 5]), [4, 4, 4]);
        assert_eq!(share(12, &[5, 2, 9]), [4, 2, 4]);
        assert_eq!(share(13, &[9, 6, 5]), [6, 6, 0], "the last has no room for anything of use");
        assert_eq!(share(3, &[9, 6]), [3, 0], "the first makes do with less");
        assert_eq!(share(1, &[5]), [0]);
        assert_eq!(share(9, &[0, 2, 5]), [0, 2, 5], "an empty one takes nothing");
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_it_wants_and_all_fit(space in 0u16..80, wants in prop::collection::vec(0u16..30, 0..8)) {
            let rows = share(space, &wants);
            prop_assert!(rows.iter().zip(&wants).all(|(row, want)| row <= want));
            let shown = rows.iter().filter(|row| **row > 0).count();
            let between = u16::try_from(shown.saturating_sub(1)).unwrap() * BETWEEN;
            prop_assert!(rows.iter().sum::<u16>() + between <= space);
        }
    }
}
