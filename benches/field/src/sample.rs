//! Figures: what one run measured, and what the runs of a row come to.

use serde::{Deserialize, Serialize};

/// What one run measured, the most important figure first.
#[derive(Debug, Clone, Default)]
pub struct Sample(pub Vec<Measure>);

/// One number with its name and unit.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// As a column of a table is called.
    pub name: &'static str,
    /// `s`, `x`, `%`, or nothing.
    pub unit: &'static str,
    /// The number.
    pub value: f64,
}

impl Sample {
    /// With this measure too, behind what is there.
    pub fn and(mut self, name: &'static str, unit: &'static str, value: f64) -> Sample {
        self.0.push(Measure { name, unit, value });
        self
    }

    /// With these behind what is there.
    pub fn with(mut self, other: Sample) -> Sample {
        self.0.extend(other.0);
        self
    }

    /// The measure of this name.
    pub fn get(&self, name: &str) -> f64 {
        self.0.iter().find(|one| one.name == name).map_or(f64::NAN, |one| one.value)
    }
}

/// A name, and what each run measured under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// As a column of a table is called.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// One number for each run, in the order of the runs.
    pub values: Vec<f64>,
}

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The one in the middle; of two in the middle their mean.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        (low + high) / 2.0
    }

    /// The smallest.
    pub fn min(&self) -> f64 {
        self.sorted()[0]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.sorted()[self.values.len() - 1]
    }
}

/// A client in a case, with all its runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which software.
    pub who: String,
    /// How it was set.
    pub how: String,
    /// Where it stands in a plot.
    pub x: Option<f64>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// The machine's load average (one minute) at the end of each run.
    pub loads: Vec<f64>,
    /// Why there are no figures, or fewer runs than wanted.
    pub lacking: Option<String>,
    /// Whether it was measured again by itself, after the others.
    #[serde(default)]
    pub alone: bool,
}

impl Row {
    /// Takes what a run measured.
    pub fn take(&mut self, sample: Sample, load: f64) {
        for Measure { name, unit, value } in sample.0 {
            match self.figures.iter_mut().find(|figure| figure.name == name) {
                Some(figure) => figure.values.push(value),
                None => self.figures.push(Figure { name: name.to_owned(), unit: unit.to_owned(), values: vec![value] }),
            }
        }
        self.loads.push(load);
    }

    /// The figure of this name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

/// The value below which this part of all is. `values` are sorted and not empty.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let at = (values.len() as f64 * part).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_to_a_median_and_a_spread() {
        let mut row = Row {
            who: String::new(),
            how: String::new(),
            x: None,
            figures: Vec::new(),
            loads: Vec::new(),
            lacking: None,
            alone: false,
        };
        for value in [3.0, 1.0, 2.0, 9.0] {
            row.take(Sample::default().and("time", "s", value), 0.5);
        }
        let figure = row.figure("time").expect("taken");
        assert_eq!((figure.median(), figure.min(), figure.max()), (2.5, 1.0, 9.0));
    }

    #[test]
    fn the_95th_of_a_hundred_is_the_95th() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.95), quantile(&values, 1.0)), (50.0, 95.0, 100.0));
    }
}
