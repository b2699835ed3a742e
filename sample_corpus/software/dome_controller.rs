//! The dome controller of Halden Tor: decides when the dome opens and closes.
//! Version 4.2. Questions to Jun Castellanos.

use std::time::Duration;

/// Above this relative humidity, in percent, the dome closes.
const CLOSE_HUMIDITY: f32 = 85.0;
/// Below this relative humidity, in percent, it may open again.
const OPEN_HUMIDITY: f32 = 80.0;
/// Wind that closes the dome, in metres per second.
const CLOSE_WIND: f32 = 18.0;
/// The wind has to last this long; a single gust closes nothing.
const WIND_LASTS: Duration = Duration::from_secs(60);
/// How often a shutter is driven again before the alarm is raised.
const SHUTTER_ATTEMPTS: u32 = 3;
/// A moving motor draws at least this current, in amperes.
const MOVING_CURRENT: f32 = 1.4;

/// One reading of the weather mast; there is one every ten seconds.
pub struct Weather {
    pub humidity: f32,
    pub wind: f32,
    pub wind_lasted: Duration,
    pub raining: bool,
}

/// Why the dome closes.
#[derive(Debug, PartialEq)]
pub enum Reason {
    Rain,
    Humidity,
    Wind,
    /// No reading for two minutes counts as bad weather.
    NoWeather,
}

impl Weather {
    /// The reason to close, the most urgent first; none while the night is good.
    pub fn reason_to_close(&self) -> Option<Reason> {
        if self.raining {
            return Some(Reason::Rain);
        }
        if self.humidity >= CLOSE_HUMIDITY {
            return Some(Reason::Humidity);
        }
        (self.wind >= CLOSE_WIND && self.wind_lasted >= WIND_LASTS).then_some(Reason::Wind)
    }

    /// Opening is stricter than staying open, or the dome would open and close all night.
    pub fn may_open(&self) -> bool {
        !self.raining && self.humidity < OPEN_HUMIDITY && self.wind < 16.0
    }
}

/// A shutter with its limit switch and motor.
pub struct Shutter {
    pub name: &'static str,
    pub limit_switch: bool,
    pub motor_current: f32,
}

impl Shutter {
    /// Believes the limit switch only when the motor agrees. Since the night of 11 February 2031, when a frozen
    /// switch reported a shutter as closed that stood half open.
    pub fn is_closed(&self) -> bool {
        self.limit_switch && self.motor_current < MOVING_CURRENT
    }
}

/// Closes the lower shutter, then the upper one. The error names the shutter that did not close.
pub fn close_dome(shutters: [&mut Shutter; 2], drive: impl Fn(&mut Shutter)) -> Result<(), &'static str> {
    for shutter in shutters {
        let closed = (0..SHUTTER_ATTEMPTS).any(|_| {
            drive(shutter);
            shutter.is_closed()
        });
        if !closed {
            return Err(shutter.name);
        }
    }
    Ok(())
}
