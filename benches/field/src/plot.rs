//! `docs/benchmarks/CASE.svg`: bars for the first figure of each row, or lines over an axis, from the kept data.

use crate::case::Measured;
use crate::keep;
use crate::page::number;
use crate::sample::Row;
use plotters::coord::Shift;
use plotters::prelude::*;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(50, 50, 50);
const OWN: RGBColor = RGBColor(0, 110, 160);
const OTHERS: [RGBColor; 3] = [RGBColor(200, 100, 20), RGBColor(90, 140, 60), RGBColor(140, 80, 150)];
const WIDTH: u32 = 860;
const BAR: i32 = 26;
const LABELS: i32 = 430;

/// Draws it, if anything was measured.
pub fn draw(measured: &Measured) -> Result<(), String> {
    let rows: Vec<&Row> = measured.rows.iter().filter(|row| !row.figures.is_empty()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let path = keep::folder().join(format!("{}.svg", measured.name));
    let height = if measured.axis.is_some() { 420 } else { 60 + rows.len() as u32 * BAR as u32 };
    let area = SVGBackend::new(&path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE).map_err(|error| error.to_string())?;
    let drawn = if measured.axis.is_some() { lines(&area, measured, &rows) } else { bars(&area, measured, &rows) };
    drawn.and_then(|()| area.present().map_err(Into::into)).map_err(|error| error.to_string())
}

fn font(size: f64) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// The figure that is drawn: the first, which all rows should have; else what stands in its place.
fn bars(area: &Area, measured: &Measured, rows: &[&Row]) -> Result<(), Box<dyn std::error::Error>> {
    let figure = &rows[0].figures[0];
    let unit = if figure.unit.is_empty() { String::new() } else { format!(", {}", figure.unit) };
    area.draw(&Text::new(measured.title.clone(), (10, 8), font(15.0)))?;
    area.draw(&Text::new(format!("{}{unit}", figure.name), (LABELS, 30), font(12.0)))?;
    let longest = rows.iter().map(|row| row.figures[0].median()).fold(0.0, f64::max);
    let room = f64::from(WIDTH as i32 - LABELS - 90);
    for (at, row) in rows.iter().enumerate() {
        let (top, value) = (50 + at as i32 * BAR, row.figures[0].median());
        let end = LABELS + (value / longest * room).max(1.0) as i32;
        let color = if row.who == "pipelane" { OWN } else { OTHERS[0] };
        let label: String = format!("{}  {}", row.who, row.how).chars().take(68).collect();
        area.draw(&Text::new(label, (10, top + 3), font(12.0)))?;
        area.draw(&Rectangle::new([(LABELS, top), (end, top + BAR - 8)], color.filled()))?;
        area.draw(&Text::new(number(value), (end + 6, top + 3), font(12.0)))?;
    }
    Ok(())
}

fn lines(area: &Area, measured: &Measured, rows: &[&Row]) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(f64, f64)> = rows.iter().map(|row| (row.x.unwrap_or(1.0), row.figures[0].median())).collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let values = points.iter().map(of);
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((left, right), (low, high)) = (range(|point| point.0), range(|point| point.1));
    let mut chart = ChartBuilder::on(area)
        .caption(&measured.title, font(15.0))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(60)
        .build_cartesian_2d((left..right * 1.05).log_scale(), (low * 0.8..high * 1.2).log_scale())?;
    let unit = format!("{}, {}", rows[0].figures[0].name, rows[0].figures[0].unit);
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(measured.axis.clone().unwrap_or_default()).y_desc(unit);
    mesh.x_label_formatter(&|value| number(*value)).y_label_formatter(&|value| number(*value)).draw()?;
    let mut names: Vec<(&str, &str)> = rows.iter().map(|row| (row.who.as_str(), row.how.as_str())).collect();
    names.dedup();
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    for (at, (who, how)) in seen.into_iter().enumerate() {
        let color = if at == 0 { OWN } else { OTHERS[(at - 1) % OTHERS.len()] };
        let of_it = rows.iter().filter(|row| row.who == who && row.how == how);
        let points: Vec<_> = of_it.map(|row| (row.x.unwrap_or(1.0), row.figures[0].median())).collect();
        let drawn = chart.draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(4))?;
        drawn
            .label(format!("{who} {how}"))
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], color.filled()));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(INK).label_font(font(12.0)).draw()?;
    Ok(())
}
