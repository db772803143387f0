//! Figures of many rounds, and what they come to.

/// One figure of each round of one contender, in the order of the rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// From the figures of rounds, in their order.
    #[must_use]
    pub fn new(figures: Vec<f64>) -> Self {
        Self(figures)
    }

    /// Half of the rounds came to less.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(1, 2)
    }

    /// The quartiles: half of the rounds lie between them.
    #[must_use]
    pub fn quartiles(&self) -> (f64, f64) {
        (self.quantile(1, 4), self.quantile(3, 4))
    }

    /// Each round's figure as a multiple of the other's *in the same round*, so that whatever the
    /// machine did meanwhile hit both.
    #[must_use]
    pub fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    fn quantile(&self, part: usize, of: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1).expect("a round");
        sorted[last * part / of]
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(figures: I) -> Self {
        Self(figures.into_iter().collect())
    }
}

/// What every contender came to in each of so many rounds. They take turns, and nobody always comes
/// after the same other; a round before the first one warms up.
pub fn interleaved<A>(
    rounds: usize,
    contenders: usize,
    mut run: impl FnMut(usize) -> A,
) -> Vec<Vec<A>> {
    let mut figures: Vec<Vec<A>> = (0..contenders).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..=rounds {
        for place in 0..contenders {
            let contender = (place + round) % contenders;
            let figure = run(contender);
            if round > 0 {
                figures[contender].push(figure);
            }
        }
    }
    figures
}

/// One figure of all rounds, for each contender by its name.
pub fn by_contender<A>(
    names: impl Iterator<Item = &'static str>,
    rounds: &[Vec<A>],
    figure: impl Fn(&A) -> f64,
) -> Vec<(&'static str, Samples)> {
    names.zip(rounds.iter().map(|rounds| rounds.iter().map(&figure).collect())).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 of anything")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
