// The device's front with its lights, as they are now.
import { type Status } from './api';
import { t } from './i18n';

export function DeviceFace({ lights }: { lights: Status['lights'] }) {
    const text = t('face.label', { power: lights.power ? t('face.lit') : t('face.dark'), han: lights.han ? t('face.lit') : t('face.dark') });
    return (
        <figure class="face">
            <svg viewBox="0 0 160 190" role="img" aria-label={text}>
                <rect class="face-case" x="5" y="5" width="150" height="180" rx="10" />
                <rect class="face-plate" x="15" y="48" width="130" height="94" rx="4" />
                {[28, 50, 72, 94, 116, 138].map((x) => (
                    <circle key={x} class="face-screw" cx={x - 3} cy="27" r="6.5" />
                ))}
                <text class="face-name" x="26" y="74">HAN2X</text>
                <circle class={`face-light ${lights.power ? 'lit' : ''}`} cx="33" cy="96" r="6" />
                <text class="face-text" x="46" y="101">POWER</text>
                <circle class={`face-light ${lights.han ? 'lit' : ''}`} cx="33" cy="121" r="6" />
                <text class="face-text" x="46" y="126">HAN</text>
                <circle class="face-button" cx="128" cy="121" r="5" />
                <rect class="face-port" x="24" y="150" width="40" height="26" rx="3" />
                <text class="face-small" x="44" y="167">HAN</text>
                <rect class="face-port" x="96" y="150" width="40" height="26" rx="3" />
                <text class="face-small" x="116" y="167">LAN</text>
            </svg>
            <figcaption class="soft small">{text}</figcaption>
        </figure>
    );
}
